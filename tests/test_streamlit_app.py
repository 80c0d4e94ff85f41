"""The pages' ASGI application beside Streamlit's own part."""

import gc

from starlette.testclient import TestClient

from engine.ui import warm


def test_the_landing_page_is_found_by_its_name_too(data_dir):
    import streamlit_app

    route = next(r for r in streamlit_app.app._user_routes if getattr(r, "path", "") == "/overview")
    answer = TestClient(route).get("/overview", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/")


def test_warming_up_loads_what_the_first_page_needs():
    warm.up_soon().join(30)
    gc.unfreeze()
    assert warm.charts.lines_spec.cache_info().currsize >= 1
