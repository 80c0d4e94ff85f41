"""The task types, one thin file each. `load` imports them all, which registers them."""

import importlib
import pkgutil

from engine import settings
from engine.errors import InvalidInput

_VARIABLE = f"{settings.PREFIX}TASK_MODULES"


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
        except ImportError as error:
            why = f"cannot import {name}: {error}"
            message = f"Settings are not valid: {_VARIABLE}: {why}"
            raise InvalidInput(message, fields={_VARIABLE: why}, code="settings") from error
