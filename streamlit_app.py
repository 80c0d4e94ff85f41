"""The pages' ASGI application: `streamlit run streamlit_app.py`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st
from starlette.responses import RedirectResponse
from starlette.routing import Route

from engine.ui import warm
from engine.web.app import MOUNTED, OUTER, prepare


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Prepare the pages' process."""
    prepare("pages")
    warm.up_soon()
    yield


async def overview(_request: object) -> RedirectResponse:
    """Send who asks for the landing page by its name to its address."""
    return RedirectResponse("/", 307)


app = st.App(
    Path(__file__).parent / "pages" / "__main__.py",
    routes=[*MOUNTED, Route("/overview", overview)],
    middleware=OUTER,
    lifespan=lifespan,
)
