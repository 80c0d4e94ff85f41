"""What rendering costs where: in the request, in a fresh interpreter, in a child of the fork server.

    python -m bench.render [--rows 100,1000] [--repeat 3] [--requests 30] [--only collector,start,cancel,...]

Parts (each side by side in one run; ratios travel between machines, milliseconds do not):

collector   garbage collector on and off, time and peak memory by rows
start       a one-line PDF in this process, in a forked child, and in a fresh interpreter
tiny        a job that does nothing: what the child itself costs
cancel      from the request to cancel until the render is gone
progress    how far the told percentage is from the share of the work (CPU time) that is done
handover    the same report inside of a request, and handed over by POST /api/reports
"""

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from engine import errors
from engine.lib import child, pdf, ports
from engine.lib.pdf import rendering

ROOT = Path(__file__).parents[1]
COLUMNS = 8
HEAD = (
    "<html lang=en><title>t</title><style>@page{size:A4;margin:15mm}body{font:7.5pt Inter}"
    "table{table-layout:fixed;width:100%;border-collapse:collapse}"
    "td{border-bottom:.2mm solid #ccc;padding:1mm}</style>"
)


def document(rows):
    cells = "".join(
        "<tr>" + "".join(f"<td>cell {row} {column}</td>" for column in range(COLUMNS)) + "</tr>"
        for row in range(rows)
    )
    return f"{HEAD}<table>{cells}</table>"


# Jobs that run in children


def render(argument, channel):
    """Render a table; with `collect`, with the garbage collector as Python sets it."""
    if argument.get("collect"):
        rendering.gc = type(
            "Kept", (), {"isenabled": lambda: True, "disable": lambda: None, "enable": lambda: None}
        )
        gc.enable()
    began, worked, steps = time.perf_counter(), time.process_time(), []
    rendered = pdf.render(
        document(argument["rows"]),
        {},
        Path(argument["out"]),
        lambda percent, note: (
            steps.append([time.process_time() - worked, percent]),
            channel.progress(percent, note),
        ),
        about_pages=max(1, argument["rows"] // 44),
    )
    seconds, work = time.perf_counter() - began, time.process_time() - worked
    return {"seconds": seconds, "work": work, "pages": rendered.pages, "steps": steps}


def nothing(argument, channel):
    return None


# The parts


def collector(options):
    print(
        "\n| rows | pages | collector on | off | ratio | peak on | peak off |\n|---|---|---|---|---|---|---|"
    )
    for rows in options.rows:
        on, off = (
            [in_child(rows, collect=collect) for _ in range(options.repeat)] for collect in (True, False)
        )
        times = [statistics.median(result.value["seconds"] for result in results) for results in (on, off)]
        peaks = [max(result.usage.peak_bytes for result in results) / 1e6 for results in (on, off)]
        pages = on[0].value["pages"]
        print(
            f"| {rows} | {pages} | {times[0]:.2f} s | {times[1]:.2f} s | {times[0] / times[1]:.2f} "
            f"| {peaks[0]:.0f} MB | {peaks[1]:.0f} MB |"
        )


def in_child(rows, **more):
    with tempfile.TemporaryDirectory() as folder:
        argument = {"rows": rows, "out": f"{folder}/x.pdf", **more}
        return child.run("bench.render:render", argument, timeout_s=600, cpu_s=600, memory_mb=4096)


def start(options):
    in_child(1)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from bench.render import render;"
        "render({'rows': 1, 'out': sys.argv[1]}, type('C', (), {'progress': lambda *a: None}))"
    )
    with tempfile.TemporaryDirectory() as folder:
        out = f"{folder}/x.pdf"
        silent = type("Silent", (), {"progress": staticmethod(lambda *_: None)})
        render({"rows": 1, "out": out}, silent)
        ways = {
            "in this process, warm": lambda: render({"rows": 1, "out": out}, silent),
            "child of the fork server": lambda: in_child(1),
            "fresh interpreter": lambda: subprocess.run([sys.executable, "-c", code, out], check=True),
        }
        print("\n| a one-line PDF | p50 | worst |\n|---|---|---|")
        for name, way in ways.items():
            times = [timed(way) for _ in range(max(5, options.repeat))]
            print(f"| {name} | {statistics.median(times) * 1000:.0f} ms | {max(times) * 1000:.0f} ms |")


def tiny(options):
    child.run("bench.render:nothing", None, timeout_s=60)
    alone = [timed(lambda: child.run("bench.render:nothing", None, timeout_s=60)) for _ in range(300)]
    began = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: child.run("bench.render:nothing", None, timeout_s=60), range(300)))
    together = time.perf_counter() - began
    print(f"\nA job that does nothing: {quantiles(alone)}; four threads together {300 / together:.0f} jobs/s")


def cancel(options):
    latencies = []
    for _ in range(30):
        asked = threading.Event()
        began = []

        def on_progress(percent, _note, asked=asked, began=began):
            if percent > 30 and not began:
                began.append(time.perf_counter())
                asked.set()

        try:
            with tempfile.TemporaryDirectory() as folder:
                child.run(
                    "bench.render:render",
                    {"rows": 1000, "out": f"{folder}/x.pdf"},
                    timeout_s=60,
                    cancelled=asked.is_set,
                    on_progress=on_progress,
                )
        except errors.TaskCancelled:
            latencies.append(time.perf_counter() - began[0])
    print(f"\nCancel of a running render: {quantiles(latencies)}")


def progress(options):
    print("\n| rows | mean error | worst error | longest silence, CPU |\n|---|---|---|---|")
    for rows in options.rows:
        result = in_child(rows).value
        whole = result["work"]
        off = [abs(percent - at / whole * 100) for at, percent in result["steps"]]
        times = [0.0, *(at for at, _ in result["steps"]), whole]
        silence = max(after - before for before, after in pairwise(times))
        print(f"| {rows} | {statistics.mean(off):.1f} points | {max(off):.1f} points | {silence:.2f} s |")


# The same report in a request and handed over

IN_REQUEST = """
import sys; sys.path.insert(0, {root!r})
from pathlib import Path
from uuid import uuid4
from fastapi import FastAPI
from engine.lib import pdf
from engine.services.reports.performance_summary.page import compose
from tests.services.reports import sample
app = FastAPI()
@app.post("/report")
def report():
    page = compose(sample.performance())
    pdf.render(page.html, page.assets, Path({folder!r}, uuid4().hex), tagged=page.tagged)
    return {{"ok": True}}
"""


def handover(options):
    with tempfile.TemporaryDirectory() as folder, processes(folder) as (api, inside, token):
        body = json.dumps({"report": "performance_summary", "params": {}}).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        ways = {
            "rendered inside of the request": lambda: call(f"{inside}/report", b"{}", {}),
            "handed over (POST /api/reports)": lambda: call(f"{api}/api/reports", body, headers),
        }
        for way in ways.values():
            for _ in range(2):
                way()
        print(
            "\n| one after the other / four at once | p50 | p99 | p50 (4) | p99 (4) |\n|---|---|---|---|---|"
        )
        for name, way in ways.items():
            alone = [timed(way) for _ in range(options.requests)]
            with ThreadPoolExecutor(4) as pool:
                together = list(pool.map(lambda _, way=way: timed(way), range(options.requests)))
            print(f"| {name} | {ms(alone, 50)} | {ms(alone, 99)} | {ms(together, 50)} | {ms(together, 99)} |")


@contextmanager
def processes(folder):
    """An api process and a worker on an empty installation; an application that renders in its requests."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OFFLOAD_")}
    environment = {**clean, "OFFLOAD_DATA_DIR": f"{folder}/data", "PYTHONPATH": str(ROOT)}
    engine = [sys.executable, "-m", "engine"]

    def tell(*arguments):
        return subprocess.run(
            [*engine, *arguments], env=environment, cwd=ROOT, check=True, capture_output=True, text=True
        )

    tell("users", "add", "bench", "--role", "staff")
    token = tell("users", "token", "bench").stdout.strip()
    Path(folder, "inside.py").write_text(IN_REQUEST.format(root=str(ROOT), folder=folder))
    api_port, inside_port = ports.free(), ports.free()
    uvicorn = [sys.executable, "-m", "uvicorn", "--log-level", "error"]
    commands = (
        [*uvicorn, "engine.web.app:api", "--port", str(api_port)],
        [*uvicorn, "--app-dir", folder, "inside:app", "--port", str(inside_port)],
        [str(Path(sys.executable).parent / "huey_consumer"), "engine.worker.huey"],
    )
    running = [
        subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for command in commands
    ]
    try:
        api, inside = (f"http://127.0.0.1:{port}" for port in (api_port, inside_port))
        for address in (api, inside):
            wait_for(address)
        yield api, inside, token
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(30)


def wait_for(address):
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{address}/api/openapi.json", timeout=5)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise SystemExit(f"{address} does not answer")


def call(address, body, headers):
    request = urllib.request.Request(address, body, headers, method="POST")
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


# Numbers


def timed(function):
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def quantiles(times):
    return f"p50 {ms(times, 50)}, p95 {ms(times, 95)}, worst {max(times) * 1000:.1f} ms"


def ms(times, percent):
    ordered = sorted(times)
    return f"{ordered[min(len(ordered) - 1, round((len(ordered) - 1) * percent / 100))] * 1000:.1f} ms"


PARTS = {part.__name__: part for part in (collector, start, tiny, cancel, progress, handover)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--rows", type=lambda text: [int(part) for part in text.split(",")], default=[100, 1000]
    )
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--requests", type=int, default=30)
    parser.add_argument("--only", type=lambda text: text.split(","), default=list(PARTS))
    options = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for name in options.only:
        PARTS[name](options)
    print(f"\nPeak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    child.forget()


if __name__ == "__main__":
    main()
