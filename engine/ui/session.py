"""Who looks at a page. The browser's session is asked for at every script run, so a revoked one ends."""

import streamlit as st

from engine.services import signin
from engine.words import Actor

COOKIE = "offload_session"
LOGIN_PATH = "/auth/login"
LOGOUT_PATH = "/auth/logout"


def current_actor() -> Actor | None:
    """Return who the browser's session belongs to, or None."""
    cookie = st.context.cookies.get(COOKIE)
    return signin.session_actor(cookie) if cookie else None


def signed_in() -> Actor:
    """Return who is signed in; otherwise show the way to the sign-in form and end this run."""
    actor = current_actor()
    if actor is None:
        st.title("Please sign in")
        st.write("Your session has ended, or you have not signed in yet.")
        st.html(f'<a href="{LOGIN_PATH}" target="_self">Go to the sign-in form</a>')
        st.stop()
    return actor
