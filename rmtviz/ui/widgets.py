"""Small parts that several pages share."""

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from rmtviz import figures, knobs
from rmtviz.analysis import Analysis, LayerAnalysis
from rmtviz.errors import RmtvizError
from rmtviz.ui import links, saving
from rmtviz.ui.links import meant as meant
from rmtviz.words import catalogue, say

SIGNS = re.compile(r"[\\`*_\[\]<>$:~#|!]")
"""What Markdown may take for a mark."""

LIST = 220
"""The width of a list of choices in pixels: with the button of the options it fits a phone."""


def page(name: str) -> Path:
    """Return the file of a page, as navigation knows it."""
    return Path(__file__).parent / "pages" / f"{name}.py"


def plain(words: str) -> str:
    """Return words from a file so that they are shown as they are, not as Markdown.

    An image in them would make the browser ask another server.
    """
    return SIGNS.sub(r"\\\g<0>", words)


def refusal(
    problem: RmtvizError, draw: Callable[..., Any] = st.error, icon: str = ":material/error:"
) -> None:
    """Say what went wrong and the way out."""
    draw(plain(problem.do), title=plain(problem.what), icon=icon)


def strategy(table: Mapping[str, type], key: str, width: int = LIST) -> Any:
    """Draw a choice from a table, bound to the URL, with its knobs; return the chosen value.

    The words are the catalogue's: `choice.NAME.title`, `choice.NAME.help`, `choice.NAME.KNOB`.
    """
    name = links.choice(
        st.selectbox,
        say(f"choice.{key}"),
        list(table),
        key,
        format_func=lambda option: say(f"choice.{option}.title"),
        help=say(f"choice.{key}_help"),
        width=width,
    )
    made = table[name]
    fields = [field for field in dataclasses.fields(made) if "low" in field.metadata]
    if not fields:
        return made()
    if links.bare():
        return standing(table, key)
    with st.popover(say("choice.options"), icon=":material/tune:"):
        st.markdown(say(f"choice.{name}.help"))
        values = {field.name: _knob(name, field) for field in fields}
    return knobs.make(table, name, {knob: str(value) for knob, value in values.items()})


def standing(table: Mapping[str, type], key: str) -> Any:
    """Return the chosen value of a choice that this page does not draw, with its knobs."""
    name = links.standing(list(table), key)
    words = {}
    for field in dataclasses.fields(table[name]):
        if (knob := f"knob_{name}_{field.name}") in st.session_state:
            words[field.name] = _word(name, field) or str(st.session_state[knob])
    return knobs.make(table, name, words)


def automatic(label: str, options: Sequence[str], title: Callable[[str], str], key: str) -> None:
    """Draw a choice that may be left to the program: then `meant` is None."""
    titles = {"": say("prune.auto")} | {option: title(option) for option in options}
    st.session_state[key] = meant(key, options, title) or ""
    st.selectbox(
        label, list(titles), format_func=titles.__getitem__, key=key, persist_state="session"
    )


def layer(analysis: Analysis) -> LayerAnalysis:
    """Draw the choice of a layer, bound to the URL; return its analysis."""
    name = links.choice(
        st.selectbox,
        say("choice.layer"),
        [item.name for item in analysis],
        "layer",
        format_func=lambda name: say(
            "choice.layer_title", name=name, shape="{} × {}".format(*analysis[name].layer.shape)
        ),
    )
    return analysis[name]


def short_names(names: Sequence[str]) -> Mapping[str, str]:
    """Return the names without the dotted parts with which all of them begin and end."""
    parts = {name: name.split(".") for name in names}
    start = stop = 0
    if len(parts) > 1:
        shortest = min(map(len, parts.values()))
        while start < shortest - 1 and len({each[start] for each in parts.values()}) == 1:
            start += 1
        while (
            stop < shortest - 1 - start and len({each[-1 - stop] for each in parts.values()}) == 1
        ):
            stop += 1
    return {name: ".".join(each[start : len(each) - stop]) for name, each in parts.items()}


def name_width(names: Iterable[str]) -> int:
    """Return the width in pixels of a table's column of names."""
    return min(180, max(52, 20 + 8 * max(map(len, names), default=0)))


def chart(figure: figures.Figure, name: str, alt: str, code: str | None = None) -> None:
    """Draw a figure in the project's own look; with the lines that make it, it can be saved."""
    config = {
        **figures.CONFIG,
        "toImageButtonOptions": {**figures.CONFIG["toImageButtonOptions"], "filename": name},
    }
    with st.container(key=f"picture_{name}"):
        st.plotly_chart(figure, theme=None, config=config, key=f"chart_{name}", alt=alt)
    if code is not None and not links.bare():
        saving.beside(f"picture_{name}", figures.table(figure), code, name, alt)


def _knob(owner: str, field: dataclasses.Field[Any]) -> float | str:
    """Draw one knob: a choice of words, or a number, whole where its default is whole."""
    key, words = f"knob_{owner}_{field.name}", _worded(owner, field.name)
    if among := field.metadata["among"]:
        if key in st.session_state:
            st.session_state[key] = _word(owner, field) or field.default
        word: str = links.value(
            st.selectbox,
            say(f"choice.{words}.{field.name}"),
            field.default,
            key,
            among.__contains__,
            options=among,
            format_func=lambda option: say(f"choice.{words}.{field.name}_{option}"),
        )
        return word
    whole = isinstance(field.default, int)
    kind: Any = int if whole else float
    low, high = (
        None if field.metadata[end] is None else kind(field.metadata[end])
        for end in ("low", "high")
    )
    number: float = links.value(
        st.number_input,
        say(f"choice.{words}.{field.name}"),
        kind(field.default),
        key,
        lambda x: (low is None or x >= low) and (high is None or x <= high),
        min_value=low,
        max_value=high,
        step=kind(1 if whole else 0.05),
        format=None if whole else "%.3g",
    )
    return number


def _word(owner: str, field: dataclasses.Field[Any]) -> str | None:
    """Return the word at which a knob stands; None where it is none, or not drawn yet."""
    prefix = f"choice.{_worded(owner, field.name)}.{field.name}_"
    among = field.metadata.get("among") or ()
    return meant(f"knob_{owner}_{field.name}", among, lambda word: say(prefix + word))


def _worded(owner: str, knob: str) -> str:
    """Return under whose name a knob's words are: its owner's, or that of all schedules."""
    return owner if f"choice.{owner}.{knob}" in catalogue() else "schedule"
