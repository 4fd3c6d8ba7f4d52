"""The data that accuracy is measured on: shipped, downloaded on request, or the visitor's own."""

from typing import TYPE_CHECKING, Any

import streamlit as st

from rmtviz import datasets, networks
from rmtviz.datasets import DATASETS, Dataset
from rmtviz.errors import RmtvizError
from rmtviz.formats import Limits
from rmtviz.ui import widgets
from rmtviz.ui.library import Model
from rmtviz.words import say

if TYPE_CHECKING:
    from rmtviz.ui.running import Running


WAYS = {"activation": networks.ACTIVATIONS, "inputs": networks.INPUTS}
"""What a visitor may say of how a network runs, and what there is to choose from."""

OWN = "own"
"""What stands for the visitor's own data in the choice."""


def choice() -> Dataset | None:
    """Return the data that the visitor chose, or None where they are to be found by themselves.

    Raises:
        DataRefused, ExtraMissing: the chosen data can't be had.
    """
    name = _asked()
    if name is None or name not in DATASETS:
        return _own().get(OWN) if name == OWN else None
    with st.spinner(say("prune.data_wait")):
        return DATASETS[name]()()


def own() -> Dataset | None:
    """Return the data that the visitor opened, if any."""
    return _own().get(OWN)


def how(model: Model) -> tuple[Any, ...]:
    """Return the visitor's activation, inputs, order, layout and data; None: found by itself.

    Raises:
        DataRefused, ExtraMissing: the chosen data can't be had.
    """
    order = st.session_state.get("orders", {}).get(model.digest)
    layout = st.session_state.get("layouts", {}).get(model.digest)
    return way("activation"), way("inputs"), order, layout, choice()


def way(name: str) -> str | None:
    """Return the visitor's choice of one of `WAYS`; None: found by itself."""
    return widgets.meant(f"run_{name}", [*WAYS[name]], lambda each: say(f"prune.{name}.{each}"))


def choose_way(name: str) -> None:
    """Draw one of `WAYS`."""
    label, options = say(f"prune.run_{name}"), [*WAYS[name]]
    widgets.automatic(label, options, lambda each: say(f"prune.{name}.{each}"), f"run_{name}")


def draw(model: Model) -> None:
    """Draw which data accuracy is measured on, with the choice of others."""
    if (chosen := st.session_state.pop("data_next", None)) is not None:
        st.session_state["data"] = chosen
    used = _asked() or model.memo.known("data") or _recorded(model)
    label = say("prune.data", name=_title(used) if used else say("prune.auto"))
    with st.popover(label, icon=":material/dataset:"):
        st.markdown(say("prune.data_help"))
        widgets.automatic(say("prune.data_choice"), _names(), _title, "data")
        _upload()
    if problem := st.session_state.pop("data_problem", None):
        widgets.refusal(problem)


def _names() -> list[str]:
    return [*DATASETS, OWN] if OWN in _own() else [*DATASETS]


def _asked() -> str | None:
    """Return the name of the data that the visitor chose."""
    return widgets.meant("data", _names(), _title)


def _recorded(model: Model) -> str | None:
    """Return the data that a network of ours was trained on."""
    recipe = model.checkpoint.about.get("trained")
    name = recipe.get("dataset") if isinstance(recipe, dict) else None
    return name if name in DATASETS else None


def _upload() -> None:
    """Draw the uploader; what was read becomes the choice, and the bytes are dropped."""
    turn = st.session_state.setdefault("data_turn", 0)
    megabytes = -(-Limits.configured().upload_bytes // 10**6)
    st.markdown(say("prune.data_own", megabytes=megabytes))
    files = st.file_uploader(
        say("prune.data_file"),
        key=f"data_{turn}",
        accept_multiple_files=True,
        max_upload_size=megabytes,
        label_visibility="collapsed",
    )
    if not files:
        return
    st.session_state["data_turn"] = turn + 1
    try:
        _own()[OWN] = datasets.read({file.name: file.getvalue() for file in files})
    except RmtvizError as problem:
        st.session_state["data_problem"] = problem
    else:
        st.session_state["data_next"] = OWN
    st.rerun()


def entering(run: "Running") -> str:
    """Return in words how a sample enters the network."""
    count = len(run.samples("selection"))
    if run.dataset.text:
        return say("prune.data_enter_text", samples=count, context=run.dataset.pixels)
    centre, scale = run.entering
    form = " × ".join(str(side) for side in run.dataset.image_shape if side != 1)
    return say("prune.data_enter", samples=count, form=form, centre=centre, scale=scale)


def _title(name: str) -> str:
    """Return a dataset's name as people know it."""
    if name == OWN:
        return widgets.plain(_own()[OWN].name) if OWN in _own() else name
    return say(f"prune.data_name.{name}") if name in DATASETS else widgets.plain(name)


@st.cache_resource(scope="session", show_spinner=False)
def _own() -> dict[str, Dataset]:
    """Return where this tab keeps the visitor's data, until its connection ends."""
    return {}
