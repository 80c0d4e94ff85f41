"""The few pages that are not Streamlit's: plain HTML, no script, nothing loaded from elsewhere."""

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

_FOLDER = Path(__file__).parent / "templates"
_STYLE = (_FOLDER / "style.css").read_text()
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)

_environment = Environment(
    loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def page(template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """Render a page that is neither cached nor framed, with every value escaped."""
    body = _environment.get_template(template).render(style=_STYLE, **values)
    return HTMLResponse(body, status, {"Cache-Control": "no-store", "Content-Security-Policy": POLICY})
