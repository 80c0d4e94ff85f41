"""The pages' ASGI application: `streamlit run streamlit_app.py`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import streamlit as st

from engine.web.app import MOUNTED, OUTER, prepare


@asynccontextmanager
async def lifespan(_app: st.App) -> AsyncIterator[None]:
    """Prepare the pages' process."""
    prepare("pages")
    yield


app = st.App(
    Path(__file__).parent / "pages" / "__main__.py",
    routes=MOUNTED,
    middleware=OUTER,
    lifespan=lifespan,
)
