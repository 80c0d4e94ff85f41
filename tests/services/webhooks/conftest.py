import pytest

from engine.services import webhooks
from tests.engine_kit import ANN


@pytest.fixture
def ann_made(server):
    """An endpoint of Ann's that hears everything, and its secret."""
    return webhooks.create(ANN, {"url": f"{server.url}/hook", "events": ["*"]})
