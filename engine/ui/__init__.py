"""What pages share. `ui.page` and `ui.live` run a page or a fragment and record that run."""

from engine.ui.run import live, page

__all__ = ["live", "page"]
