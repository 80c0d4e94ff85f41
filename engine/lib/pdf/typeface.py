"""The bundled typeface, Inter 4.1: Latin, Greek and Cyrillic in two weights.

By The Inter Project Authors, SIL Open Font License 1.1 (fonts/OFL.txt), as packaged by inter-ui 4.1.1. A
system without any font ends a render with a segmentation fault; with this one it does not. Scripts that Inter
does not have fall back to what the system offers (DejaVu).

One file a weight: WeasyPrint tells fonts apart by family and weight alone, so that a weight cut into files by
script comes out with glyphs of the wrong file.
"""

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from fontTools.ttLib import TTFont

FAMILY = "Inter"
_FOLDER = Path(__file__).parent / "fonts"
_WEIGHTS = (400, 600)


def _unpack(path: Path) -> bytes:
    font, target = TTFont(path), BytesIO()
    font.flavor = None
    font.save(target, reorderTables=None)
    return target.getvalue()


# Unpacking takes 0.2 s a file: done at import, so that the fork server does it once for all its children.
ASSETS: Mapping[str, bytes] = {
    f"inter-{weight}.ttf": _unpack(_FOLDER / f"inter-{weight}.woff2") for weight in _WEIGHTS
}
"""The fonts by the name under which a document reaches them."""

CSS = "".join(
    f"@font-face{{font-family:{FAMILY};font-weight:{weight};src:url(asset:inter-{weight}.ttf)}}\n"
    for weight in _WEIGHTS
)
