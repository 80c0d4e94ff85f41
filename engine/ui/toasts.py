"""What an action came to, said for a moment in the next run of the page or of the part that was acted on."""

import streamlit as st

_KEY = "toasts"


def tell(text: str, icon: str = ":material/check_circle:") -> None:
    """Keep a sentence for the next run: a toast does not outlive `st.rerun()`."""
    st.session_state.setdefault(_KEY, []).append((text, icon))


def show() -> None:
    """Show what was told, once."""
    for text, icon in st.session_state.pop(_KEY, ()):
        st.toast(text, icon=icon)
