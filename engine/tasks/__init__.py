"""The task types, one thin file each. `load` imports them all, which registers them."""

import importlib
import pkgutil

from engine import settings
from engine.errors import InvalidInput

VARIABLE = f"{settings.PREFIX}TASK_MODULES"


def load() -> None:
    """Register every task type in this folder and in the modules of the setting `task_modules`.

    Raises InvalidInput for a module that cannot be imported. A worker claims only the types it has loaded, so
    a type of one's own runs where its module is named.
    """
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    for name in filter(None, map(str.strip, settings.get().task_modules.split(","))):
        try:
            importlib.import_module(name)
        except Exception as error:  # an edge: a module may fail in any way while it is imported
            said = str(error) if isinstance(error, ImportError) else f"{type(error).__name__}: {error}"
            why = f"cannot import {name}: {' '.join(said.split())}"
            message = f"Settings are not valid: {VARIABLE}: {why}"
            raise InvalidInput(message, fields={VARIABLE: why}, code="settings") from error
