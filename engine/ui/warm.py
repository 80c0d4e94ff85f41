"""Load what the first visitor would otherwise wait for: pandas, Arrow, Altair, the charts' specifications."""

import gc
import threading
from importlib import import_module

from engine.ui import charts

_LATE = ("pandas", "pyarrow.compute", "engine.ui.performance", "engine.ui.forms", "engine.ui.detail")
"""Streamlit and we import these at first use; 1 s on a slow machine."""


def up() -> None:
    """Load it, and take what is loaded out of the garbage collector's sight."""
    for name in _LATE:
        import_module(name)
    charts.warm()
    gc.collect()
    gc.freeze()


def up_soon() -> threading.Thread:
    """Do so beside the first requests; return the thread."""
    thread = threading.Thread(target=up, name="warm-up", daemon=True)
    thread.start()
    return thread
