import asyncio
import json

import pytest

from engine import lifecycle
from engine.records import db
from engine.services import access, signin
from engine.web import app, stream
from engine.web.routes import monitoring
from engine.words import SYSTEM, Actor, Role

OLGA = Actor("olga", Role.OPS)


class Stream:
    """One client of the event stream of a task, over ASGI, with its events as they arrive."""

    def __init__(self, application, task_id, headers):
        self.events = asyncio.Queue()
        self.status = None
        self._gone = asyncio.Event()
        self._text = ""
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"/async-monitoring/tasks/{task_id}/stream/",
            "query_string": b"",
            "headers": [(b"host", b"testserver"), *headers],
            "scheme": "http",
            "client": ("127.0.0.1", 1),
        }
        self._task = asyncio.create_task(application(scope, self._receive, self._send))

    async def next(self):
        return await asyncio.wait_for(self.events.get(), 5)

    async def ended(self):
        await asyncio.wait_for(self._task, 5)
        return self.events.empty()

    async def leave(self):
        self._gone.set()
        await self.ended()

    async def _receive(self):
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
            return
        self._text += message.get("body", b"").decode()
        while "\r\n\r\n" in self._text:
            block, _, self._text = self._text.partition("\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in block.split("\r\n"))
            if fields.get("event") == "task":
                self.events.put_nowait(json.loads(fields["data"]))


@pytest.fixture
def interface(data_dir, monkeypatch):
    monkeypatch.setattr(stream, "POLL_S", 0.01)
    monkeypatch.setattr(monitoring, "HEARTBEAT_S", 0.05)
    return app.build(outer=app.OUTER)


def token_of(name, role=Role.OPS):
    access.add_user(SYSTEM, name, role)
    return [(b"authorization", f"Bearer {access.new_token(SYSTEM, name)}".encode())]


def submit():
    return lifecycle.submit(OLGA, "probe", {}).task.id


def change(task_id, **columns):
    with db.main().write() as tx:
        sets = ", ".join(f"{name} = :{name}" for name in columns)
        tx.run(f"update tasks set {sets} where id = :id", id=task_id, **columns)


def test_stream_tells_the_task_now_and_each_change_until_the_end(interface):
    headers, task_id = token_of("olga"), submit()

    async def watch():
        client = Stream(interface, task_id, headers)
        states = [await client.next()]
        assert client.headers[b"content-type"].startswith(b"text/event-stream")
        change(task_id, state="running", progress=10)
        states.append(await client.next())
        change(task_id, progress=60)
        states.append(await client.next())
        change(task_id, state="succeeded", progress=100)
        states.append(await client.next())
        assert await client.ended()
        return [(s["state"], s["progress"]) for s in states]

    told = asyncio.run(watch())
    assert told == [("queued", 0), ("running", 10), ("running", 60), ("succeeded", 100)]


def test_ended_task_is_told_once(interface):
    headers, task_id = token_of("olga"), submit()
    lifecycle.cancel(OLGA, task_id)

    async def watch():
        client = Stream(interface, task_id, headers)
        assert (await client.next())["state"] == "cancelled"
        assert await client.ended()

    asyncio.run(watch())


def test_reconnecting_after_the_end_gets_204_which_stops_an_event_source(interface):
    headers, task_id = token_of("olga"), submit()
    lifecycle.cancel(OLGA, task_id)

    async def watch():
        client = Stream(interface, task_id, [*headers, (b"last-event-id", b"0-0-cancelled")])
        await client.ended()
        return client.status

    assert asyncio.run(watch()) == 204


def test_many_clients_of_one_task_all_hear_and_leave_nothing_behind(interface):
    headers, task_id = token_of("olga"), submit()

    async def watch():
        clients = [Stream(interface, task_id, headers) for _ in range(20)]
        for client in clients:
            await client.next()
        change(task_id, progress=5)
        assert {(await client.next())["progress"] for client in clients} == {5}
        (poller,) = [stream._pollers[asyncio.get_running_loop()]]
        assert poller.n_listeners == 20
        for client in clients:
            await client.leave()
        assert poller.n_listeners == 0

    asyncio.run(watch())


@pytest.mark.parametrize("how", ["token", "session", "role"])
@pytest.mark.parametrize("heartbeat_s", [0.05, 60])
def test_revoked_listener_hears_nothing_more(interface, monkeypatch, how, heartbeat_s):
    monkeypatch.setattr(monitoring, "HEARTBEAT_S", heartbeat_s)  # within 60 s only an event ends the stream
    task_id = submit()
    if how == "session":
        token = access.add_user(SYSTEM, "olga", Role.OPS).partition("=")[2]
        cookie = signin.by_link(token, signin.Visit("test")).cookie
        headers = [(b"cookie", f"offload_session={cookie}".encode())]
    else:
        headers = token_of("olga")

    async def watch():
        client = Stream(interface, task_id, headers)
        await client.next()
        await asyncio.sleep(0.03)  # mostly it waits for news by now; what is asserted holds either way
        if how == "session":
            signin.sign_out(cookie)
        elif how == "token":
            access.disable_user(SYSTEM, "olga")
        else:
            access.set_role(SYSTEM, "olga", Role.STAFF)
        change(task_id, progress=5)
        assert await client.ended()

    asyncio.run(watch())


def test_stream_of_others_work_is_404(interface):
    headers, task_id = token_of("sam", Role.STAFF), submit()

    async def watch():
        client = Stream(interface, task_id, headers)
        await client.ended()
        return client.status

    assert asyncio.run(watch()) == 404


def test_slow_listener_gets_the_newest_only():
    async def listen():
        listener = stream.Listener("t")
        for n in range(1000):
            listener.put(FakeTask(progress=n))
        assert (await listener.next(1)).progress == 999
        assert await listener.next(0.01) is None
        listener.put(FakeTask(progress=999))
        assert await listener.next(0.01) is None  # told already

    asyncio.run(listen())


class FakeTask:
    state, progress_note, attempt, cancel_requested_at_ms, finished_at_ms = "running", "", 1, None, None

    def __init__(self, progress):
        self.progress = progress


def test_poller_asks_little_when_nothing_changes(interface, monkeypatch):
    headers, task_id = token_of("olga"), submit()
    asked = []
    original = stream.changes.changed
    monkeypatch.setattr(stream.changes, "changed", lambda *a: asked.append(1) or original(*a))

    async def watch():
        client = Stream(interface, task_id, headers)
        await client.next()
        await asyncio.sleep(0.2)
        await client.leave()

    asyncio.run(watch())
    assert len(asked) <= 2
