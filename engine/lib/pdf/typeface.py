"""The bundled typeface: Inter, cut into scripts, of which only those a document uses are loaded.

Inter 4 by The Inter Project Authors, SIL Open Font License 1.1 (fonts/OFL.txt), as packaged by
@fontsource/inter 5.3.0. A system without any font ends a render with a segmentation fault; with this one it
does not. Scripts that Inter does not have fall back to what the system offers (DejaVu).
"""

import re
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "fonts"
FAMILY = "Inter"
_WEIGHTS = (400, 600)
_SCRIPTS: Mapping[str, re.Pattern[str]] = {
    "latin": re.compile(r""),
    "latin-ext": re.compile(r"[\u0100-\u02ff\u1e00-\u1eff\u20a0-\u20c0\u2113]"),
    "greek": re.compile(r"[\u0370-\u03ff]"),
    "cyrillic": re.compile(r"[\u0400-\u045f\u0490-\u04b1\u2116]"),
}


def assets(text: str) -> dict[str, Path]:
    """Return the font files that a text needs, by the name under which a document reaches them."""
    return {
        f"inter-{script}-{weight}.woff2": FOLDER / f"inter-{script}-{weight}.woff2"
        for script, characters in _SCRIPTS.items()
        for weight in _WEIGHTS
        if characters.search(text)
    }


def css(text: str) -> str:
    """Return the @font-face rules for a text."""
    return "".join(
        f"@font-face{{font-family:{FAMILY};font-weight:{name[-9:-6]};src:url(asset:{name})}}\n"
        for name in assets(text)
    )
