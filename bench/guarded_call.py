"""Compare a guarded call with a plain, reused httpx client, against a small server on loopback.

Run: python -m bench.guarded_call. Budget: at most 1.2 times the plain client. Both are asked in turn, in
small batches, so that whatever else the machine does hits both alike.
"""

import json
import os
import socket
import statistics
import threading
import time

BATCHES, CALLS = 30, 40
BODY = b'{"items": [' + b'{"id": 1, "name": "something"},' * 60 + b"{}]}"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)


def serve(listener):
    def talk(sock):
        with sock:
            while sock.recv(65536):
                sock.sendall(ANSWER)

    while True:
        threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    os.environ["OFFLOAD_ALLOWED_PRIVATE_HOSTS"] = f"127.0.0.1:{port}"
    threading.Thread(target=serve, args=(listener,), daemon=True).start()

    import httpx

    from engine.lib import http

    url = f"http://127.0.0.1:{port}/items"
    limits = http.Limits.from_settings()
    plain = httpx.Client(trust_env=False)
    ways = {
        "plain": lambda: plain.get(url).content,
        "guarded": lambda: http.send(http.Request("GET", url), limits).body,
    }
    times = {name: [] for name in ways}
    for batch in range(BATCHES + 1):
        for name, call in ways.items():
            began = time.perf_counter()
            for _ in range(CALLS):
                assert call() == BODY
            if batch:
                times[name].append((time.perf_counter() - began) / CALLS)
    medians = {name: statistics.median(found) for name, found in times.items()}
    ratio = statistics.median(g / p for g, p in zip(times["guarded"], times["plain"], strict=True))
    print(
        json.dumps(
            {
                **{f"{n}_us": round(m * 1e6) for n, m in medians.items()},
                "ratio": round(ratio, 2),
                "budget": 1.2,
            }
        )
    )


if __name__ == "__main__":
    main()
