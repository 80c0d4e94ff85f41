"""A server on loopback that misbehaves as told: each path has a function that is given the open socket."""

import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress

from engine import settings as settings_door
from engine.lib import http


class Hostile:
    """`server.on["/path"] = lambda sock, request: ...`; `server.requests` holds the bytes received."""

    def __init__(self, tls=None):
        self.on = {}
        self.requests = []
        self.connections = 0
        self.stopped = threading.Event()
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self):
        self.stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, sock):
        sock.settimeout(5)
        with suppress(OSError, ssl.SSLError), sock:
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True)
            with sock:
                while request := self._receive(sock):
                    path = request.split(b" ")[1].decode().partition("?")[0]
                    self.requests.append(request)
                    if self.on.get(path, missing)(sock, request) is not KEEP:
                        return

    def _receive(self, sock):
        data = b""
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            if not more:
                return b""
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        declared = [
            int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
        ]
        while declared and len(body) < declared[0]:
            body += sock.recv(65536)
        return head + b"\r\n\r\n" + body


KEEP = object()


def missing(sock, request):
    sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    return KEEP


def answer(body=b"", status="200 OK", **headers):
    """A whole answer, given at once, on a connection that is kept."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines])

    def act(sock, request):
        sock.sendall(head.encode() + b"\r\n\r\n" + body)
        return KEEP

    return act


def redirect(to, status="302 Found"):
    return answer(status=status, Location=to)


def raw(*parts, pause_s=0.0, repeat=1, stop=None):
    """Bytes as they are, with a pause after each part."""

    def act(sock, request):
        for _ in range(repeat):
            for part in parts:
                sock.sendall(part)
                if pause_s and stop and stop.wait(pause_s):
                    return

    return act


def running_from(event):
    """A clock that stands still until the event, so that the machine may take its time up to there."""
    began, read, stood = time.monotonic(), time.monotonic, []

    def elapsed():
        if not event.is_set():
            return began
        stood[:] = stood or [read() - began]
        return read() - stood[0]

    return elapsed


@contextmanager
def serving(monkeypatch, tls=None, names=("127.0.0.1",)):
    """Run a hostile server that the settings open for calls under the given host names."""
    server = Hostile(tls)
    hosts = ",".join(f"{name}:{server.port}" for name in names)
    monkeypatch.setenv("OFFLOAD_ALLOWED_PRIVATE_HOSTS", hosts)
    settings_door.get.cache_clear()
    try:
        yield server
    finally:
        http.close()
        server.close()
        settings_door.get.cache_clear()
