"""Choices that stand in the URL, by their names and not their labels: a link outlives a wording.

A link's values are taken when a session begins; from then on the session leads and the URL
follows, also across pages, which drop a URL's parameters.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from rmtviz import knobs
from rmtviz.errors import BadOption


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


def settings(table: Mapping[str, type], name: str, moved: Mapping[str, Any]) -> Any:
    """Return the choice of this name with its knobs as moved, or as a link set them.

    The URL has those knobs of this choice that are not at their defaults; a word in it that
    makes no sense is passed over.
    """
    kept: dict[str, Any] = st.session_state.setdefault(f"settings_{name}", {})
    linked = st.session_state.setdefault("linked", set())
    fields = [field.name for field in dataclasses.fields(table[name])]
    given = dict(moved)
    if "settings" not in linked:
        linked.add("settings")
        given |= {knob: st.query_params[knob] for knob in fields if knob in st.query_params}
    for knob in fields:
        try:
            if knob in given:
                made = knobs.make(table, name, {knob: str(given[knob])})
                kept[knob] = getattr(made, knob)
        except BadOption:
            continue
    choice = table[name](**kept)
    _follow(table, name, choice)
    return choice


def bare() -> bool:
    """Return whether the link asks for a page without controls, as for a lecture."""
    return bool(st.query_params.get("controls") == "none")


def _follow(table: Mapping[str, type], name: str, choice: Any) -> None:
    """Bring the URL to the knobs of a choice, and take those of the others out of it."""
    fields = {field.name: field for field in dataclasses.fields(table[name])}
    known = {field.name for kind in table.values() for field in dataclasses.fields(kind)}
    for knob in known:
        value = getattr(choice, knob, None)
        if knob not in fields or value == fields[knob].default:
            st.query_params.pop(knob, None)
            continue
        word = f"{value:.6g}" if isinstance(value, float) else str(value)
        if st.query_params.get(knob) != word:
            st.query_params[knob] = word
