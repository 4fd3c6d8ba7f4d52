"""In which language the app speaks: the visitor's choice, else the link's, else the browser's."""

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from rmtviz import words
from rmtviz.ui import links
from rmtviz.words import LANGUAGES, say

KEY = "lang"
"""The choice's place in the URL and in the session."""


def listen() -> None:
    """Bring this run to the visitor's language."""
    st.session_state[KEY] = links.standing(_options(), KEY)
    words.ask(_spoken)


def draw() -> None:
    """Draw the switch, where there is more than one language."""
    if len(LANGUAGES) > 1:
        links.choice(
            st.segmented_control,
            say("app.language"),
            _options(),
            KEY,
            format_func=LANGUAGES.__getitem__,
            required=True,
            label_visibility="collapsed",
        )


def _options() -> list[str]:
    """Return the languages' codes, the browser's own first: in its language no link names it."""
    own = (st.context.locale or "").partition("-")[0]
    return sorted(LANGUAGES, key=lambda code: code != own)


def _spoken() -> str | None:
    """Return the language of the session that this thread works for, if it does for one."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    found: str | None = st.session_state.get(KEY)
    return found
