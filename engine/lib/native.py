"""Which native libraries of the PDF renderer are missing: tried in a process of its own.

The failures differ in kind (measured on bare Debian 12, one package at a time): a missing Pango is an OSError
that WeasyPrint announces on standard output, a missing HarfBuzz-Subset only a warning (and 0.2 to 0.7 s a
document), and a machine without any font crashes the process. Standard library only: the launcher runs this
file before anything else works.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

PACKAGES = ("libpangoft2-1.0-0", "libharfbuzz-subset0", "fonts-dejavu-core")
"""The Debian and Ubuntu packages that are enough; cairo and gdk-pixbuf are not needed."""

_RENDER = "from weasyprint import HTML; HTML(string='<p>Offload').write_pdf()"
_CANNOT_LOAD = re.compile(r"cannot load library '([^']+)'")
_TIMEOUT_S = 60


@dataclass(frozen=True)
class NativeState:
    """What a trial render showed."""

    level: Literal["ok", "warning", "error"]
    message: str
    packages: tuple[str, ...] = ()
    """Debian packages to install."""


def check(python: str = sys.executable) -> NativeState:
    """Render one line in a child process and say what it tells about the machine."""
    try:
        child = subprocess.run(
            [python, "-P", "-W", "default", "-c", _RENDER],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return NativeState("error", f"A trial render did not end within {_TIMEOUT_S} s")
    return judge(child.returncode, child.stdout + child.stderr)


def judge(returncode: int, output: str) -> NativeState:
    """Map the end of a trial render to its cause."""
    if returncode == 0 and "HarfBuzz-Subset" in output:
        return NativeState("warning", "PDFs render, but slowly: HarfBuzz-Subset is missing", PACKAGES)
    if returncode == 0:
        return NativeState("ok", "A trial document was rendered")
    if returncode < 0:
        return NativeState(
            "error", f"The PDF renderer crashed (signal {-returncode}): no font, probably", PACKAGES
        )
    if missing := _CANNOT_LOAD.search(output):
        return NativeState("error", f"The PDF renderer lacks native libraries ({missing[1]})", PACKAGES)
    last = output.strip().splitlines()[-1] if output.strip() else f"exit status {returncode}"
    return NativeState("error", f"The PDF renderer does not work: {last}")


def main() -> None:
    """Print the level, the packages to install, and the message, a line each."""
    state = check()
    print(state.level, " ".join(state.packages), state.message, sep="\n")


if __name__ == "__main__":
    main()
