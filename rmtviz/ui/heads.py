"""A model's attention as the visitor looks at it: its projections whole, or head by head.

The pages that show layers and cut them follow the choice; others take projections whole.
"""

from collections.abc import Collection

import streamlit as st

from rmtviz import attention
from rmtviz.errors import BadOption
from rmtviz.fits.base import SMALLEST
from rmtviz.heads import MOST, Heads
from rmtviz.ui import links
from rmtviz.ui.library import Model
from rmtviz.words import say

WAYS = ("whole", "each")
"""How attention is looked at, by the word in the address."""

WIDTH, NARROW = 180, 120

KEY, COUNT, NEXT = "attention", "heads", "attention_next"
"""Where the choice stands, the number that was given, and what the choice is to become."""


def draw(model: Model) -> BadOption | None:
    """Draw the choice, where a model has projections that heads share.

    Returns what is wrong with the number of heads that was given, if anything is.
    """
    if (chosen := st.session_state.pop(NEXT, None)) is not None:
        st.session_state[KEY] = chosen
    known = _recorded(model)
    way = WAYS[0]
    if _projections(model):
        way = links.choice(
            st.selectbox,
            say("heads.attention"),
            WAYS,
            KEY,
            format_func=lambda way: say(f"heads.way_{way}"),
            help=say("heads.help", least=SMALLEST),
            width=WIDTH,
        )
    else:
        links.put(KEY, None)
    if way == WAYS[0] or known:
        links.put(COUNT, None)
    else:
        _number()
    try:
        if asked(model):
            _by_heads(model)
    except BadOption as problem:
        return problem
    return None


def asked(model: Model) -> bool:
    """Return whether the visitor wants to look at each head of this model."""
    return bool(_projections(model)) and links.standing(WAYS, KEY) == WAYS[1]


def seen(model: Model) -> Model:
    """Return a model as the visitor looks at it; whole where the number of heads does not fit."""
    if not asked(model):
        return model
    try:
        return _by_heads(model)
    except BadOption:
        return model


def note(model: Model) -> str:
    """Return what a verdict by heads counts, and what it can show; empty where none is seen."""
    if not _told(model):
        return ""
    names = _projections(model)
    parts = [item.layer for item in model.spectra.layers if item.layer.tensors[0] in names]
    sides = [min(each.shape) for each in parts if each.part]
    key = "heads.note_small" if min(sides) < SMALLEST else "heads.note"
    return say(key, matrices=len(sides), side=min(sides), least=SMALLEST)


def code(model: Model, expression: str) -> str:
    """Return the Python for a model as it is looked at, from that for its file."""
    told = _told(model)
    if told is None:
        return expression
    return say("chart.code_heads", model=expression, count=told.count, shared=told.shared)


def _told(model: Model) -> Heads | None:
    """Return how many heads are seen alone; None: projections are whole."""
    told = Heads.of(model.checkpoint.about.get("heads"))
    return told if told and told.each else None


def _by_heads(model: Model) -> Model:
    """Return the model by the number of heads on record, or by the number that was given."""
    if _recorded(model):
        count = None
    else:
        count = _number() if links.bare() else int(st.session_state.get(COUNT, 1))
    if count == 1:
        return model
    kept: Model | None = model.memo.known(("heads", count))
    if kept is not None:
        return kept
    with st.spinner(say("app.decomposing")):
        return model.by_heads(count)


def _number() -> int:
    """Draw the number of heads, where no record says it; one is as good as none."""
    count: int = links.value(
        st.number_input,
        say("heads.count"),
        1,
        COUNT,
        lambda number: 1 <= number < MOST,
        min_value=1,
        max_value=MOST - 1,
        help=say("heads.count_help"),
        width=NARROW,
    )
    return count


def _recorded(model: Model) -> bool:
    """Return whether a record says how many heads there are, and the projections agree."""

    def make() -> bool:
        try:
            attention.by_heads(model.checkpoint)
        except BadOption:
            return False
        return True

    return model.memo(("heads", "recorded"), make)


def _projections(model: Model) -> Collection[str]:
    """Return the names of the projections that heads may share."""
    return model.memo("projections", lambda: tuple(attention.projections(model.checkpoint)))
