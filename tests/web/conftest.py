import pytest
from starlette.testclient import TestClient

from engine.services import access, signin
from engine.web import app
from engine.words import SYSTEM, Role

ORIGIN = {"Origin": "http://testserver"}


class People:
    """Makes users of each role, and clients that act as them."""

    def __init__(self, application=None):
        self.app = application or app.build(outer=app.OUTER)

    def client(self, **options):
        return TestClient(self.app, follow_redirects=False, **options)

    def link(self, name, role):
        return access.add_user(SYSTEM, name, role)

    def by_token(self, name, role=Role.STAFF):
        self.link(name, role)
        token = access.new_token(SYSTEM, name)
        return self.client(headers={"Authorization": f"Bearer {token}"})

    def by_cookie(self, name, role=Role.STAFF):
        token = self.link(name, role).partition("=")[2]
        signed_in = signin.by_link(token, signin.Visit("test"))
        client = self.client(headers=ORIGIN)
        client.cookies.set("offload_session", signed_in.cookie, domain="testserver.local")
        return client


@pytest.fixture
def people(data_dir):
    return People()
