"""The HTTP interface, assembled: `api` for `uvicorn engine.web.app:api`, `MOUNTED` for the pages' process.

One application serves both. A file in `engine/web/routes/` with a `router` is all it takes to add to it.
"""

import gc
import pkgutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib import import_module
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from engine import __version__, log, settings, tasks
from engine.records import db
from engine.web import documents, errors, routes
from engine.web.directory import Directory
from engine.web.envelope import Envelope
from engine.web.guard import Guard
from engine.web.limits import BodyLimit, Spelling
from engine.web.middleware import RequestMonitor

PREFIXES = ("/api", "/async-monitoring", "/auth", "/metrics")
"""What belongs to this interface; every other path of the pages' process is Streamlit's."""

OUTER: tuple[Middleware, ...] = (Middleware(RequestMonitor), Middleware(Envelope), Middleware(Guard))
"""Stands before everything, Streamlit included, outermost first."""


def build(*, outer: Sequence[Middleware] = ()) -> FastAPI:
    """Assemble the interface; without `outer` it must be put behind `OUTER` by the caller."""
    tasks.load()
    app = FastAPI(
        title="Offload",
        version=__version__,
        summary="Hand slow work over and get a task id in milliseconds.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        middleware=[*outer, Middleware(Spelling), Middleware(BodyLimit)],
        lifespan=lifespan if outer else None,
    )
    errors.install(app)
    app.openapi = partial(documents.openapi, app)  # type: ignore[method-assign]
    for router in routers():
        # `include_router` wraps the routes of each router, which triples the cost of finding one
        app.router.routes.extend(router.routes)
    app.router.routes.insert(0, Directory(app.router.routes))
    return app


def routers() -> list[APIRouter]:
    """Return the router of each module in `engine/web/routes/`, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(routes.__path__))
    return [import_module(f"{routes.__name__}.{name}").router for name in names]


def prepare(process: str) -> None:
    """Make a process that has loaded everything ready for its first request.

    Opens the database, for which the first request would wait on the event loop, and takes what is loaded out
    of the garbage collector's sight: a full collection with pandas loaded holds the interpreter for 100 ms.
    """
    log.configure(process, level=settings.get().log_level)
    db.main()
    gc.collect()
    gc.freeze()


@asynccontextmanager
async def lifespan(_app: Any) -> AsyncIterator[None]:
    """Prepare the api process."""
    prepare("api")
    yield


class Mounted(BaseRoute):
    """Hands the paths below `PREFIXES` to the interface unchanged, where `Mount` would cut the prefix off."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match a path that is one of the prefixes or below it."""
        path = f"{scope.get('path', '')}/"
        ours = scope["type"] == "http" and path.startswith(_FOLDERS)
        return (Match.FULL if ours else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the request."""
        await self.app(scope, receive, send)


_FOLDERS = tuple(f"{prefix}/" for prefix in PREFIXES)

api = build(outer=OUTER)


@api.get("/", include_in_schema=False)
async def _home() -> RedirectResponse:
    return RedirectResponse("/api/docs", 303)


MOUNTED: list[BaseRoute] = [Mounted(build())]
