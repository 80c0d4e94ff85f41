"""Outbound calls and webhooks with real workers: killed, cancelled, side by side."""

import threading
import time

import pytest

from engine import lifecycle, tasks
from engine.records import db
from engine.services import webhooks
from engine.words import SYSTEM
from tests.engine_kit import OPS, row
from tests.lib.http.hostile import Hostile, answer


@pytest.fixture
def server():
    found = Hostile()
    yield found
    found.close()


@pytest.fixture
def room(new_room, server):
    tasks.load()
    return new_room(WORKERS="4", ALLOWED_PRIVATE_HOSTS=f"127.0.0.1:{server.port}", WEBHOOK_DELAYS_S="0.1,0.2")


def message_ids(server, path="/hook"):
    heads = [
        r.split(b"\r\n\r\n")[0].decode().lower() for r in server.requests if f" {path} ".encode() in r[:200]
    ]
    return [
        line.partition(": ")[2]
        for head in heads
        for line in head.split("\r\n")
        if line.startswith("webhook-id")
    ]


def test_killed_workers_lose_no_delivery_and_invent_none(room, server):
    server.on["/hook"] = answer()
    webhooks.create(OPS, {"url": f"{server.url}/hook", "events": ["task.*"]})
    consumer = room.start()
    room.submit(150, sleep_ms=5)
    for _ in range(4):
        time.sleep(0.4)
        consumer.kill()
        consumer.wait(5)
        consumer = room.start()
    states = room.drain(90)
    assert states == {"succeeded": 300}, "150 tasks, and a delivery each"
    written = db.main().read(
        "select message_id, task_id from webhook_deliveries d join webhook_messages m on m.id = d.message_id"
    )
    assert len({r["task_id"] for r in written}) == len(written) == 150
    assert set(message_ids(server)) == {r["message_id"] for r in written}


def test_two_workers_deliver_each_once(room, server):
    server.on["/hook"] = answer()
    webhooks.create(OPS, {"url": f"{server.url}/hook", "events": ["task.*"]})
    room.start()
    room.start()
    room.submit(60)
    assert room.drain() == {"succeeded": 120}
    found = message_ids(server)
    assert len(found) == len(set(found)) == 60


def test_a_slow_endpoint_holds_up_no_other(room, server):
    server.on["/slow"] = lambda sock, request: server.stopped.wait(60)
    server.on["/hook"] = answer()
    for path in ("hook", "slow"):
        webhooks.create(OPS, {"url": f"{server.url}/{path}", "events": ["task.*"]})
    room.start()
    room.submit(1)
    room.house.wait(lambda: message_ids(server, "/slow"), "the delivery to the slow one")
    room.submit(1)  # while that hangs, for the 15 s that a delivery may take
    room.house.wait(lambda: len(message_ids(server)) == 2, "both deliveries to the quick one", 10)
    server.stopped.set()
    room.drain()


def test_a_call_in_flight_is_cancelled_and_frees_its_worker(room, server):
    arrived = threading.Event()
    server.on["/slow"] = lambda sock, request: (arrived.set(), server.stopped.wait(20))[1]
    room.start()
    task = lifecycle.submit(SYSTEM, "api_call", {"url": f"{server.url}/slow"}).task
    assert arrived.wait(10)
    began = time.monotonic()
    lifecycle.cancel(OPS, task.id)
    room.house.wait(lambda: row(task).state == "cancelled", "the end of the call", 5)
    print(f"cancelled after {(time.monotonic() - began) * 1000:.0f} ms")


def test_a_post_whose_worker_is_killed_is_not_sent_twice(room, server):
    arrived = threading.Event()
    server.on["/slow"] = lambda sock, request: (arrived.set(), server.stopped.wait(20))[1]
    consumer = room.start()
    task = lifecycle.submit(
        SYSTEM, "api_call", {"url": f"{server.url}/slow", "method": "POST", "text": "x"}
    ).task
    assert arrived.wait(10)
    consumer.kill()
    consumer.wait(5)
    room.start()
    assert room.ended(task.id).error_code == "outcome_unknown"
    assert len(server.requests) == 1


def test_a_bulk_leaves_room_for_other_work(room, server):
    seen = threading.Event()
    server.on["/held"] = lambda sock, request: (seen.wait(20), answer(b"x")(sock, request))[1]
    room.start()
    bulk = lifecycle.submit(SYSTEM, "call_bulk", {"calls": [{"url": f"{server.url}/held"}] * 50}).task
    room.running()
    probe = room.submit_one()
    assert room.ended(probe).state == "succeeded"
    assert row(bulk).state == "running"
    seen.set()
    assert room.ended(bulk.id).state == "succeeded"
