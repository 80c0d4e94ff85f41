"""The task types, one thin file each. `load` imports them all, which registers them."""

import importlib
import pkgutil

from engine import settings


def load() -> None:
    """Register every task type in this folder and in the modules of the setting `task_modules`.

    A worker claims only the types it has loaded, so a type of one's own runs where its module is named.
    """
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    for name in filter(None, map(str.strip, settings.get().task_modules.split(","))):
        importlib.import_module(name)
