"""Choices that stand in the address, by names and not by labels: a link outlives a wording.

An address's values are taken when a session begins, and again when the browser changed it
(Back, Forward, a bookmark); from then on the session leads and the address follows, also
across pages, which drop an address's values. A run changes the address once, at its end, so
that Back takes back one choice.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from rmtviz import knobs, words
from rmtviz.errors import BadOption
from rmtviz.words import LANGUAGES, speaking

LAG = 0.5
"""Seconds after a change in which a browser may still tell the address from before."""


def arrive(page: str) -> None:
    """Begin a run of a page: where the browser changed the address, its values lead again."""
    now, last = st.query_params.to_dict(), st.session_state.get("address")
    st.session_state["wanted"] = dict(now)
    spoken, st.session_state["spoken"] = st.session_state.get("spoken"), words.language()
    st.session_state["opened"] = (
        last is None or last[0] != page or spoken != st.session_state["spoken"]
    )
    st.session_state["turned"] = last is not None and _changed(page, now, *last)
    if st.session_state["turned"]:
        st.session_state["linked"] = set()


def _changed(page: str, now: dict[str, str], before: str, told: dict[str, str], at: float) -> bool:
    """Return whether the address is another than the one told, and no page's link made it so."""
    followed_a_link = page != before and not now
    return now != told and not followed_a_link and time.monotonic() - at > LAG


def leave(page: str) -> None:
    """End a run: bring the address to what was put, in one step.

    What runs on its own from now on, a part of the page, is no opening of it.
    """
    _tell(page)
    st.session_state["opened"] = st.session_state["turned"] = False


def settle() -> None:
    """Bring the address to what was put, in a part of a page that runs on its own."""
    page, *_ = st.session_state.get("address", ("",))
    _tell(page)


def _tell(page: str) -> None:
    """Tell the browser what was put, where it is another address."""
    wanted = st.session_state["wanted"]
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)
    st.session_state["address"] = (page, dict(wanted), time.monotonic())


def put(key: str, value: str | None) -> None:
    """Put a value into the address, or take it out."""
    wanted = st.session_state.setdefault("wanted", st.query_params.to_dict())
    if value is None:
        wanted.pop(key, None)
    else:
        wanted[key] = value


def fresh(key: str) -> bool:
    """Return whether the address leads in this value: once, until the browser changes it."""
    linked: set[str] = st.session_state.setdefault("linked", set())
    if key in linked:
        return False
    linked.add(key)
    return True


def turned() -> bool:
    """Return whether the browser changed the address: what it leaves out is at its default."""
    return bool(st.session_state.get("turned"))


def stand(key: str, value: Any) -> None:
    """Let a widget stand at a value: when its page is opened, and where it is another one.

    A page in another language is opened anew: a list that is shut would keep its old words.
    Not in each run: what is written goes back to the browser, over what the visitor may have
    moved meanwhile.
    """
    if st.session_state.get("opened", True) or st.session_state.get(key) != value:
        st.session_state[key] = value


def choice(
    draw: Callable[..., Any], label: str, options: Sequence[str], key: str, **more: Any
) -> str:
    """Draw a choice (a selectbox, a segmented control); return its value.

    The first option is the default, and is left out of the address. Nothing is drawn on a
    page without controls.
    """
    if bare():
        return standing(options, key)
    if fresh(key):
        if st.query_params.get(key) in options:
            st.session_state[key] = st.query_params[key]
        elif turned():
            st.session_state.pop(key, None)
    title = more.get("format_func", str)
    stand(key, meant(key, options, title) or standing(options, key))
    value: str = draw(label, options, key=key, persist_state="session", **more)
    put(key, None if value == options[0] else value)
    return value


def value(
    draw: Callable[..., Any],
    label: str,
    default: Any,
    key: str,
    legal: Callable[[Any], bool] = lambda _: True,
    **more: Any,
) -> Any:
    """Draw a widget of any other value (a slider, a number, a text); return its value.

    A word of the address that is no such value, or not `legal`, is passed over. As for
    `choice`, a default is left out of the address, and a page without controls draws nothing.
    """
    if fresh(key):
        if key in st.query_params:
            try:
                given = type(default)(st.query_params[key])
            except ValueError:
                given = default
            st.session_state[key] = given if legal(given) else default
        elif turned():
            st.session_state.pop(key, None)
    stand(key, st.session_state.get(key, default))
    if bare():
        return st.session_state[key]
    found = draw(label, key=key, persist_state="session", **more)
    put(key, None if found == default else _word(found))
    return found


def standing(options: Sequence[str], key: str) -> str:
    """Return the value of a choice, also on pages that do not draw it."""
    if key in st.query_params and fresh(key) and st.query_params[key] in options:
        st.session_state[key] = st.query_params[key]
    now: str | None = st.session_state.get(key)
    return now if now is not None and now in options else options[0]


def meant(key: str, options: Sequence[str], title: Callable[[str], str]) -> str | None:
    """Return the option at which a choice stands; None: at none of them.

    Browsers send labels. After a change of language a list that is shut still sends the label
    of the other language, which Streamlit, as it does not know it, takes for a value.
    """
    now: str | None = st.session_state.get(key)
    if now in options:
        return now
    for code in LANGUAGES:
        with speaking(code):
            found = [option for option in options if title(option) == now]
        if found:
            return found[0]
    return None


def settings(table: Mapping[str, type], name: str, moved: Mapping[str, Any]) -> Any:
    """Return the choice of this name with its knobs as moved, or as a link set them.

    The address has those knobs of this choice that are not at their defaults; a word in it that
    makes no sense is passed over.
    """
    kept: dict[str, Any] = st.session_state.setdefault(f"settings_{name}", {})
    fields = [field.name for field in dataclasses.fields(table[name])]
    given = dict(moved)
    if fresh("settings"):
        if turned():
            kept.clear()
            given.clear()
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
    """Put the knobs of a choice into the address, and take those of the others out of it."""
    fields = {field.name: field for field in dataclasses.fields(table[name])}
    known = {field.name for kind in table.values() for field in dataclasses.fields(kind)}
    for knob in known:
        value = getattr(choice, knob, None)
        if knob not in fields or value == fields[knob].default:
            put(knob, None)
        else:
            put(knob, _word(value))


def _word(value: Any) -> str:
    """Return a value as it stands in the address."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
