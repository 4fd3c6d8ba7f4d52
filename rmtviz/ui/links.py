"""Choices that stand in the URL, by their names and not their labels: a link outlives a wording.

A link's values are taken when a session begins; from then on the session leads and the URL
follows, also across pages, which drop a URL's parameters.
"""

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st


def choice(
    draw: Callable[..., Any], label: str, options: Sequence[str], key: str, **more: Any
) -> str:
    """Draw a choice (a selectbox, a segmented control); return its value.

    The first option is the default, and is left out of the URL.
    """
    # Written anew in each run: on a new page a choice that came by a link would else be lost.
    st.session_state[key] = standing(options, key)
    value: str = draw(label, options, key=key, persist_state="session", **more)
    if value == options[0]:
        st.query_params.pop(key, None)
    elif st.query_params.get(key) != value:
        st.query_params[key] = value
    return value


def standing(options: Sequence[str], key: str) -> str:
    """Return the value of a choice, also on pages that do not draw it."""
    linked = st.session_state.setdefault("linked", set())
    if key not in linked:
        linked.add(key)
        if st.query_params.get(key) in options:
            st.session_state[key] = st.query_params[key]
    now: str | None = st.session_state.get(key)
    return now if now is not None and now in options else options[0]
