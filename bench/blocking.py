"""The application as it would be without Offload: the same report, rendered inside the request.

Served by `bench/handover.py` on `uvicorn bench.blocking:app` beside the api process, on the same data folder.
"""

import tempfile
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse

from engine.records import db
from engine.services.reports import catalog, job
from engine.words import Actor, Role

app = FastAPI()
BENCH = Actor("bench", Role.OPS)


class Nobody:
    """Takes the progress nobody watches."""

    def progress(self, percent, note=""):
        pass

    def log(self, text):
        pass


@app.get("/")
def ready():
    return {}


@app.post("/api/reports")
def render():
    """Answer with the PDF, when it is there."""
    report = catalog.get("performance_summary")
    with db.main().write() as tx:
        form = report.parse(catalog.admit(tx, BENCH, report.name, {}))
    path = Path(tempfile.mkdtemp()) / "report.pdf"
    argument = {
        "report": report.name,
        "data": report.gather(form, "bench"),
        "path": str(path),
        "max_pages": 200,
    }
    job.render(argument, Nobody())
    return FileResponse(path, status_code=202)
