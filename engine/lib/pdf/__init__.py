"""HTML to PDF, for documents made from values we do not trust. Import and call it in a child process only.

WeasyPrint keeps memory, cannot be interrupted and may crash; `lib/child` takes care of that.
"""

from engine.lib.pdf.rendering import Limits, Rendered, render
from engine.lib.pdf.template import environment
from engine.lib.pdf.text import clean_text, safe_link

__all__ = ["Limits", "Rendered", "clean_text", "environment", "render", "safe_link"]
