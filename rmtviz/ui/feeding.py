"""What a network is trained on: the choice of the data, and how the visitor's own are divided."""

from typing import TYPE_CHECKING, Any, NamedTuple

import streamlit as st

from rmtviz import datasets, networks
from rmtviz.datasets import DATASETS, KEY, TEXTS, Dataset
from rmtviz.errors import DataRefused, RmtvizError
from rmtviz.ui import data, links, widgets
from rmtviz.words import say

if TYPE_CHECKING:
    from rmtviz.training import Training


class Division(NamedTuple):
    """How many samples serve for what, of how many classes and numbers, and how these enter."""

    train: int
    selection: int
    test: int
    classes: int
    columns: int
    table: bool
    centre: float
    scale: float


def choose(key: str) -> tuple[dict[str, Any], Dataset | None]:
    """Draw the choice of the data; return the settings that they ask for, and the visitor's own."""
    from rmtviz import training

    field, own = f"{key}dataset", data.opened()
    missing = _wanted(field, own)
    names = [*(each for each in DATASETS if each not in TEXTS), *own]
    titles = {each: data.title(each) for each in names}
    name = links.choice(
        st.selectbox,
        say("train.dataset"),
        names,
        field,
        format_func=titles.__getitem__,
        on_change=_passed_over,
        args=(field,),
    )
    if missing:
        words = say("train.own_missing", key=missing, name=titles[name])
        st.warning(words, icon=":material/history:")
    if not links.bare():
        _open(field)
    given = own.get(name)
    return training.naming(given) if given else {"dataset": name}, given


def tell(recipe: "Training | None", own: Dataset | None) -> "Training | None":
    """Say how the visitor's own data are divided; return the recipe, or None after a refusal."""
    if recipe is None or own is None:
        return recipe
    try:
        found = _division(recipe, own)
    except DataRefused as refusal:
        widgets.refusal(refusal)
        return None
    values = {**found._asdict(), "batch": recipe.batch_size}
    st.caption(say("train.own_sets_given" if len(own.train_labels) else "train.own_sets", **values))
    st.caption(say("train.own_columns" if found.table else "train.own_levels", **values))
    return recipe


def _division(recipe: "Training", own: Dataset) -> Division:
    """Return the division by the recipe's seed; the latest is remembered, since it takes a while.

    Raises:
        DataRefused: the data can't be trained on by this recipe.
    """
    key = (own.key, recipe.seed, recipe.widths[:1])
    known: tuple[Any, Division] | None = st.session_state.get("division")
    if known and known[0] == key:
        return known[1]
    with st.spinner(say("prune.data_wait")):
        made = recipe.data(own)
    centre, scale = networks.INPUTS[recipe.inputs](made.mean, made.std, made.top)
    sizes = datasets.sizes(own)
    found = Division(*sizes, made.outputs, made.pixels, made.scaled, centre, scale)
    st.session_state["division"] = key, found
    return found


def _wanted(field: str, own: dict[str, Dataset]) -> str | None:
    """Choose data of one's own that are asked for; return their key if they are not open here."""
    state, note = st.session_state, f"{field}_wanted"
    for word in (st.query_params.get(field), state.get(field)):
        if word and word not in own and KEY.fullmatch(word):
            state[note] = word
    if state.get(note) in own:
        state[field] = state.pop(note)
    missing: str | None = state.get(note)
    return missing


def _passed_over(field: str) -> None:
    """Ask no more for data that are not open here: another choice was made."""
    st.session_state.pop(f"{field}_wanted", None)


def _open(field: str) -> None:
    """Draw the way to open one's own, which become the choice; or why they can't be read."""
    state, turn = st.session_state, st.session_state.get(f"{field}_turn", 0)
    # Each file gets a popover of its own: the last one's would stay open over the answer.
    with st.popover(
        say("train.own_open"), icon=":material/upload_file:", key=f"{field}_{turn}_own"
    ):
        found = data.upload(field)
        st.caption(say("train.own_keeps"))
    if isinstance(found, RmtvizError):
        state[f"{field}_problem"] = found
    elif found:
        state[f"{field}_wanted"] = found.key
    if found:
        st.rerun()
    if problem := state.pop(f"{field}_problem", None):
        widgets.refusal(problem)
