"""Events from a task's end to the receiver, against a server on loopback."""

import json

import pytest
from standardwebhooks import Webhook

from engine import lifecycle
from engine.errors import Conflict, Forbidden, InvalidInput, NotFound
from engine.queries import webhooks as reads
from engine.records import db, tasks
from engine.services import webhooks
from tests.engine_kit import ANN, BOB, DONE, FAIL, FATAL, OPS, claim, in_threads, row, submit_and_claim
from tests.engine_kit import submit as submit_job
from tests.lib.http.hostile import answer, raw
from tests.task_kit import run_next


@pytest.fixture(autouse=True)
def job(server):
    from engine import registry
    from tests.engine_kit import add_type

    if registry.find("job") is None:
        add_type()


@pytest.fixture
def settings(monkeypatch):
    from engine import settings as door

    def change(**values):
        for name, value in values.items():
            monkeypatch.setenv(f"OFFLOAD_{name.upper()}", str(value))
        door.get.cache_clear()

    return change


def end_a_job(ending=DONE, **options):
    from engine import registry

    submit_job(**options)
    task = lifecycle.claim("w1", [registry.get("job")])
    lifecycle.settle(task, ending)
    return task


def deliveries(actor=ANN, **filters):
    return reads.deliveries(actor, **filters).items


def received(server):
    """What the server got, as (headers by small name, body)."""
    found = []
    for request in server.requests:
        head, _, body = request.partition(b"\r\n\r\n")
        lines = [line.decode().partition(": ") for line in head.split(b"\r\n")[1:]]
        found.append(({name.lower(): value for name, _, value in lines}, body))
    return found


# What is written with an outcome


def test_an_outcome_and_its_deliveries_are_one_transaction(server, ann_made, monkeypatch):
    task = submit_and_claim()

    def fail(*args, **options):
        raise KeyboardInterrupt("power loss")

    monkeypatch.setattr("engine.lifecycle.announce.deliver", fail)
    with pytest.raises(KeyboardInterrupt):
        lifecycle.settle(task, DONE)
    assert row(task).state == "running"
    assert deliveries() == []


@pytest.mark.parametrize(
    ("end", "event"),
    [
        (lambda: end_a_job(DONE), "task.succeeded"),
        (lambda: end_a_job(FATAL), "task.failed"),
        (lambda: lifecycle.cancel(ANN, submit_job().id), "task.cancelled"),
        (lambda: (submit_job(), lifecycle.purge(OPS, "job")), "task.cancelled"),
    ],
)
def test_every_end_is_an_event(server, ann_made, end, event):
    end()
    assert [d["event"] for d in deliveries()] == [event]


def test_a_task_that_expires_is_an_event(server, ann_made, wall):
    from engine import registry
    from tests.engine_kit import add_type

    if registry.find("brief") is None:
        add_type("brief", expires_s=60)
    submit_job("brief")
    wall.advance(61)
    lifecycle.expire_waiting()
    assert [d["event"] for d in deliveries()] == ["task.expired"]


def test_a_retry_is_no_event(server, ann_made):
    end_a_job(FAIL)
    assert deliveries() == []


def test_nobody_hears_of_anothers_tasks(server, ann_made):
    end_a_job(actor=BOB)
    assert deliveries(OPS) == []


def test_only_those_who_listen_are_told(server, ann_made):
    webhooks.create(ANN, {"url": f"{server.url}/failed", "events": ["task.failed"]})
    off = webhooks.create(ANN, {"url": f"{server.url}/off", "events": ["*"], "active": False})
    end_a_job()
    assert [d["endpoint_id"] for d in deliveries()] == [ann_made.endpoint.id]
    assert off.endpoint.id != ann_made.endpoint.id


def test_deliveries_themselves_are_no_events(server, ann_made):
    server.on["/hook"] = answer()
    end_a_job()
    run_next()
    assert len(deliveries()) == 1


# The message


def test_sends_the_stored_bytes_signed_after_the_standard(server, ann_made, monkeypatch, settings):
    settings(public_url="https://offload.example.com")
    server.on["/hook"] = answer(status="204 No Content")
    task = end_a_job()
    done = run_next()
    ((headers, body),) = received(server)
    event = Webhook(ann_made.secret).verify(body.decode(), headers)
    assert event["type"] == "task.succeeded"
    assert event["data"]["task_id"] == task.id
    assert event["data"]["state"] == "succeeded"
    assert event["data"]["links"]["status"].startswith("https://offload.example.com/async-monitoring/tasks/")
    assert body.decode() == reads.delivery(ANN, deliveries()[0]["delivery_id"])["body"]
    assert headers["content-type"] == "application/json"
    assert (done.state, deliveries()[0]["state"], deliveries()[0]["status"]) == (
        "succeeded",
        "delivered",
        204,
    )


def test_one_event_has_one_id_for_all_endpoints(server, ann_made):
    webhooks.create(ANN, {"url": f"{server.url}/two", "events": ["*"]})
    end_a_job()
    assert len({d["message_id"] for d in deliveries()}) == 1
    assert len(deliveries()) == 2


def test_attempts_keep_the_id_and_sign_anew(server, ann_made, wall):
    server.on["/hook"] = answer(status="500 Broken")
    end_a_job()
    run_next()
    wall.advance(70)
    run_next()
    (first, _), (second, _) = received(server)
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 70
    assert first["webhook-signature"] != second["webhook-signature"]


def test_both_secrets_sign_during_a_rotation(server, ann_made, wall):
    server.on["/hook"] = answer()
    new = webhooks.rotate(ANN, ann_made.endpoint.id)
    end_a_job()
    run_next()
    headers, body = received(server)[0]
    from engine.lib import signing

    for secret in (ann_made.secret, new.secret):
        why = signing.why_invalid(
            [secret],
            message_id=headers["webhook-id"],
            timestamp=headers["webhook-timestamp"],
            signature=headers["webhook-signature"],
            body=body,
            now_s=wall(),
            tolerance_s=300,
        )
        assert why is None
    wall.advance(86_401)
    end_a_job()
    run_next()
    assert len(received(server)[1][0]["webhook-signature"].split()) == 1


# A task's own webhooks


def test_a_secret_made_for_a_task_is_shown_once(server):
    server.on["/own"] = answer()
    given = [{"url": f"{server.url}/own"}, {"url": f"{server.url}/own", "secret": "whsec_" + "A" * 44}]
    submitted = lifecycle.submit(ANN, "job", {}, webhooks=given)
    shown = submitted.document()["webhooks"]
    assert [set(hook) for hook in shown] == [{"webhook_id", "url", "secret"}, {"webhook_id", "url"}]
    assert "webhooks" not in submitted.task.document()
    task = claim()
    lifecycle.settle(task, DONE)
    run_next()
    run_next()
    events = [
        Webhook(secret).verify(body.decode(), headers)
        for secret, (headers, body) in zip(
            [shown[0]["secret"], "whsec_" + "A" * 44], received(server), strict=True
        )
    ]
    assert {event["data"]["task_id"] for event in events} == {task.id}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ([{"url": "http://10.0.0.1/"}], "webhooks.0.url"),
        ([{"url": "https://a.example.com/", "secret": "short"}], "webhooks.0.secret"),
        ([{"url": "https://a.example.com/", "method": "GET"}], "webhooks.0.method"),
        ([{"url": "https://a.example.com/"}] * 11, "webhooks"),
        ([{}], "webhooks.0.url"),
    ],
)
def test_a_wrong_webhook_refuses_the_submit(given, path):
    with pytest.raises(InvalidInput) as caught:
        lifecycle.submit(ANN, "job", {}, webhooks=given)
    assert list(caught.value.fields) == [path]
    assert db.main().value("select count(*) from tasks") == 0


# Failures


def test_waits_1_5_and_15_minutes_and_gives_up(server, ann_made, wall):
    server.on["/hook"] = answer(b"no", "503 Down")
    end_a_job()
    waits = []
    for _ in range(3):
        waiting = run_next()
        assert waiting.state == "retrying"
        waits.append((waiting.due_at_ms / 1000 - wall()) / 60)
        wall.advance(20 * 60)
    done = run_next()
    assert [0.9 <= wait <= 1.1 for wait in (waits[0], waits[1] / 5, waits[2] / 15)] == [True] * 3
    assert (done.state, done.error_code, len(server.requests)) == ("failed", "http_503", 4)
    found = reads.delivery(ANN, deliveries()[0]["delivery_id"])
    assert (found["state"], [a["status"] for a in found["attempts"]]) == ("failed", [503] * 4)


def test_retry_after_lengthens_and_never_shortens(server, ann_made, wall):
    for asked, least, most in (("1", 54, 66), ("600", 600, 600), ("999999", 3600, 3600)):
        server.on["/hook"] = answer(status="429 Slow", Retry_After=asked)
        task = end_a_job()
        waiting = run_next()
        assert least <= waiting.due_at_ms / 1000 - wall() <= most
        lifecycle.cancel(OPS, waiting.id)
        assert task.id


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (answer(status="302 Found", Location="/other"), "http_302"),
        (answer(status="404 Not Found"), "http_404"),
        (raw(b""), "connection_lost"),
        (raw(b"garbage\r\n\r\n"), "protocol_error"),
    ],
)
def test_anything_but_2xx_is_a_failure_that_is_tried_again(server, ann_made, act, code):
    server.on["/hook"] = act
    end_a_job()
    assert run_next().state == "retrying"
    assert deliveries()[0]["error"]["code"] == code
    assert len(server.requests) == 1


def test_2xx_counts_whatever_the_body(server, ann_made):
    bodies = [
        raw(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 9_000_000),
        raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 99\r\n\r\nabc"),
    ]
    for act in bodies:
        server.on["/hook"] = act
        end_a_job()
        assert run_next().state == "succeeded"
    assert len(reads.delivery(ANN, deliveries()[1]["delivery_id"])["attempts"][0]["answer"]) == 2048


def test_410_switches_the_endpoint_off_at_once(server, ann_made):
    server.on["/hook"] = answer(status="410 Gone")
    end_a_job()
    assert run_next().state == "failed"
    found = reads.required(ANN, ann_made.endpoint.id)
    assert (found.active, found.disabled_reason) == (0, "it answered 410 Gone")
    end_a_job()
    assert len(deliveries()) == 1


def test_twenty_exhausted_in_a_row_switch_it_off(server, ann_made, settings):
    settings(webhook_delays_s="", webhook_disable_after=3)
    server.on["/hook"] = answer(status="500 Broken")
    for _ in range(2):
        end_a_job()
        run_next()
    server.on["/hook"] = answer()
    end_a_job()
    run_next()
    server.on["/hook"] = answer(status="500 Broken")
    for expected in (1, 1, 0):
        end_a_job()
        run_next()
        assert reads.required(ANN, ann_made.endpoint.id).active == expected
    assert "3 deliveries in a row" in reads.required(ANN, ann_made.endpoint.id).disabled_reason


def test_what_waits_for_an_endpoint_that_was_switched_off_is_dropped(server, ann_made):
    end_a_job()
    webhooks.change(ANN, ann_made.endpoint.id, {"active": False})
    run_next()
    assert (deliveries()[0]["state"], deliveries()[0]["error"]["code"]) == ("dropped", "endpoint_off")
    assert server.requests == []


def test_attempts_follow_an_endpoint_that_has_moved(server, ann_made):
    server.on["/new"] = answer()
    end_a_job()
    webhooks.change(ANN, ann_made.endpoint.id, {"url": f"{server.url}/new"})
    assert run_next().state == "succeeded"
    assert b"POST /new" in server.requests[0]
    assert deliveries()[0]["url"] == f"{server.url}/new"


def test_the_address_is_checked_at_each_attempt(server, ann_made, monkeypatch, settings):
    end_a_job()
    settings(allowed_private_hosts="")
    done = run_next()
    assert (done.state, done.error_code) == ("failed", "address_not_allowed")
    assert server.requests == []


def test_the_owner_alone_reads_what_was_answered(server, ann_made):
    server.on["/hook"] = answer(b"internal page")
    end_a_job()
    run_next()
    delivery_id = deliveries()[0]["delivery_id"]
    assert reads.delivery(ANN, delivery_id)["attempts"][0]["answer"] == "internal page"
    assert reads.delivery(OPS, delivery_id)["attempts"][0]["answer"] is None


# Side by side


def test_two_workers_deliver_each_once(server, ann_made):
    server.on["/hook"] = answer()
    for _ in range(6):
        end_a_job()
    results = in_threads(
        lambda: [run_next(worker_id="w1").state for _ in range(3)],
        lambda: [run_next(worker_id="w2").state for _ in range(3)],
    )
    assert results == [["succeeded"] * 3] * 2
    assert len({headers["webhook-id"] for headers, _ in received(server)}) == len(server.requests) == 6


@pytest.mark.parametrize(("last_ms", "n_busy"), [(50, 2), (5_000, 1)])
def test_a_host_does_not_get_more_than_its_places(server, ann_made, wall, last_ms, n_busy):
    for _ in range(3):
        end_a_job()
    ids = [d["delivery_id"] for d in deliveries()]
    from engine.records import webhooks as rows

    with db.main().write() as tx:
        rows.end_delivery(tx, ids[0], "waiting", now_ms=1, duration_ms=last_ms, failed=False)
        for delivery_id in ids[:n_busy]:
            rows.begin_attempt(
                tx, delivery_id, now_ms=int(wall() * 1000), busy_until_ms=int(wall() * 1000) + 9_000
            )
    first = tasks.get(db.main(), run_next().id)
    assert (first.state, first.error_code) == ("retrying", "deferred")
    assert server.requests == []


def test_a_slow_endpoint_holds_up_no_other_of_its_host(server, ann_made, wall):
    from engine.records import webhooks as rows

    webhooks.create(ANN, {"url": f"{server.url}/slow"})
    server.on["/hook"] = server.on["/slow"] = answer()
    end_a_job()
    run_next()
    run_next()
    end_a_job()
    slow = next(d for d in deliveries() if d["url"].endswith("/slow"))["delivery_id"]
    until_ms = int(wall() * 1000) + 9_000
    with db.main().write() as tx:
        rows.end_delivery(tx, slow, "waiting", now_ms=1, duration_ms=15_000, failed=False)
        rows.begin_attempt(tx, slow, now_ms=int(wall() * 1000), busy_until_ms=until_ms)
    n_before = len(server.requests)
    run_next()
    run_next()
    assert [request.split(b" ")[1] for request in server.requests[n_before:]].count(b"/hook") == 1


def test_a_delivery_whose_worker_died_is_made_again(server, ann_made, wall):
    server.on["/hook"] = answer()
    end_a_job()
    from engine import registry

    dying = lifecycle.claim("w1", registry.all_types())
    assert dying.type == "webhook_delivery"
    lifecycle.rescue(lambda worker: True, trust_leases=True)
    assert run_next().state == "succeeded"
    assert deliveries()[0]["state"] == "delivered"


def test_clock_jumps_lose_nothing(server, ann_made, wall):
    server.on["/hook"] = answer(status="500 Broken")
    end_a_job()
    run_next()
    wall.advance(-7_200)
    with db.main().write() as tx:
        now_ms = int(wall() * 1000)
        tasks.pull_in_after_clock_change(tx, now_ms, now_ms + 45_000)
    server.on["/hook"] = answer()
    wall.advance(70)
    assert run_next().state == "succeeded"


# Again, by hand


def test_a_replay_keeps_the_id_and_has_fresh_tries(server, ann_made, settings, wall):
    settings(webhook_delays_s="")
    server.on["/hook"] = answer(status="500 Broken")
    end_a_job()
    run_next()
    delivery_id = deliveries()[0]["delivery_id"]
    server.on["/hook"] = answer()
    webhooks.replay(ANN, delivery_id)
    with pytest.raises(Conflict):
        webhooks.replay(ANN, delivery_id)
    assert run_next().state == "succeeded"
    assert len({headers["webhook-id"] for headers, _ in received(server)}) == 1
    assert reads.delivery(ANN, delivery_id)["n_attempts"] == 2


def test_a_delivery_whose_task_was_cancelled_can_be_replayed(server, ann_made):
    server.on["/hook"] = answer()
    end_a_job()
    (task_id,) = [r["id"] for r in db.main().read("select id from tasks where type = 'webhook_delivery'")]
    lifecycle.cancel(OPS, task_id)
    webhooks.replay(ANN, deliveries()[0]["delivery_id"])
    assert run_next().state == "succeeded"


def test_all_that_failed_since_a_time_is_replayed(server, ann_made, settings, wall):
    settings(webhook_delays_s="")
    server.on["/hook"] = answer(status="500 Broken")
    since = []
    for _ in range(3):
        since.append(int(wall() * 1000))
        end_a_job()
        run_next()
        wall.advance(60)
    assert len(webhooks.replay_failed(ANN, since_ms=since[1])) == 2
    assert webhooks.replay_failed(BOB, since_ms=0) == []


def test_ops_replay_what_failed_of_others(server, ann_made, settings):
    settings(webhook_delays_s="")
    server.on["/hook"] = answer(status="500 Broken")
    end_a_job()
    run_next()
    failed = [row["delivery_id"] for row in deliveries()]
    endpoint_id = ann_made.endpoint.id
    assert webhooks.replay_failed(OPS, since_ms=0) == []
    with pytest.raises(Forbidden):
        webhooks.replay_failed(BOB, since_ms=0, everybody=True)
    for whose in ({"endpoint_id": endpoint_id}, {"everybody": True}, {"owner": ANN.name}):
        assert webhooks.replay_failed(OPS, since_ms=0, **whose) == failed
        run_next()


def test_a_replay_of_an_endpoint_that_is_not_there_is_an_error(ann_made):
    for actor, endpoint_id in ((ANN, "nope"), (BOB, ann_made.endpoint.id)):
        with pytest.raises(NotFound):
            webhooks.replay_failed(actor, since_ms=0, endpoint_id=endpoint_id)


def test_a_delivery_that_is_just_ending_is_not_replayed_with_the_others(server, ann_made):
    from engine.records import webhooks as rows

    end_a_job()
    delivery_id = deliveries()[0]["delivery_id"]
    with db.main().write() as tx:
        rows.end_delivery(tx, delivery_id, "failed", now_ms=1)
    assert webhooks.replay_failed(ANN, since_ms=0) == []
    run_next()  # its task, which finds nothing left to do
    assert webhooks.replay_failed(ANN, since_ms=0) == [delivery_id]


def test_answers_are_asked_for_in_plain_text(server, ann_made):
    server.on["/hook"] = answer()
    end_a_job()
    run_next()
    assert received(server)[0][0]["accept-encoding"] == "identity"


def test_a_test_event_reaches_an_endpoint_that_is_off(server, ann_made):
    server.on["/hook"] = answer()
    webhooks.change(ANN, ann_made.endpoint.id, {"active": False})
    webhooks.send_test(ANN, ann_made.endpoint.id)
    assert run_next().state == "succeeded"
    assert json.loads(received(server)[0][1])["type"] == "webhook.test"


def test_alerts_reach_those_who_operate_the_installation(server, ann_made):
    from engine.words import SYSTEM

    webhooks.create(SYSTEM, {"url": f"{server.url}/ops", "events": ["alert.*"]})
    with db.main().write() as tx:
        assert lifecycle.emit(tx, "alert.opened", {"alert": "p95"}, owner=None) == 1
        assert lifecycle.emit(tx, "schedule.missed", {"name": "x"}, owner="ann") == 1
        with pytest.raises(ValueError, match="not an event"):
            lifecycle.emit(tx, "task.exploded", {}, owner=None)


def test_an_event_with_an_id_is_written_once(server, ann_made):
    with db.main().write() as tx:
        for n_told in (1, 0):
            options = {"owner": "ann", "message_id": "msg_again"}
            assert lifecycle.emit(tx, "schedule.missed", {"name": "x"}, **options) == n_told
    assert db.main().value("select count(*) from webhook_messages where id = 'msg_again'") == 1
