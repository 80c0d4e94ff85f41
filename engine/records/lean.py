"""sqlite-utils without pandas, which it imports wherever it is installed, to know one column type more.

Imported by the package before any of its modules. pandas costs every process 0.4 to 0.6 s at its
start and 70 MB for good, and only some reports need it.
"""

import sys

_ABSENT = "pandas" not in sys.modules
if _ABSENT:
    sys.modules["pandas"] = None  # type: ignore[assignment]  # makes the import fail at once

import sqlite_utils  # noqa: E402, F401

if _ABSENT:
    del sys.modules["pandas"]
