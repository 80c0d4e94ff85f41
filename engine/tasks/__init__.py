"""The task types, one thin file each. `load` imports them all, which registers them."""

import importlib
import pkgutil


def load() -> None:
    """Register every task type in this folder."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
