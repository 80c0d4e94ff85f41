"""The address of a page as a filter that others can be sent, or led to by a link."""

from collections.abc import Mapping

import streamlit as st


def obey(filters: Mapping[str, object]) -> None:
    """Empty the filters that the address does not name, once it names one; call it before they are drawn.

    `filters` has the name of each in the address, with its value when it filters nothing. Streamlit leaves
    a filter as it was when a link does not name it: the link would show less than the rows it counted.
    """
    if not any(name in st.query_params for name in filters):
        return
    for name, nothing in filters.items():
        if name not in st.query_params and st.session_state.get(name):
            st.session_state[name] = nothing
