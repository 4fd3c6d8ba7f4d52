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

MOST = 3
"""So many of the visitor's own datasets are kept, the latest ones."""


def choice(model: Model) -> Dataset | None:
    """Return the data that the visitor chose, or None where they are to be found by themselves.

    A network that was trained on data that are open in this visit is judged by them.

    Raises:
        DataRefused, ExtraMissing: the chosen data can't be had.
    """
    name = _asked()
    if name is None:
        return opened().get(_recorded(model) or "") if opened() else None
    if name not in DATASETS:
        return own()
    with st.spinner(say("prune.data_wait")):
        return DATASETS[name]()()


def own() -> Dataset | None:
    """Return the data that the visitor opened last, if any."""
    return next(reversed(opened().values()), None)


def how(model: Model) -> tuple[Any, ...]:
    """Return the visitor's activation, inputs, order, layout and data; None: found by itself.

    Raises:
        DataRefused, ExtraMissing: the chosen data can't be had.
    """
    order = st.session_state.get("orders", {}).get(model.digest)
    layout = st.session_state.get("layouts", {}).get(model.digest)
    return way("activation"), way("inputs"), order, layout, choice(model)


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
    label = say("prune.data", name=widgets.plain(title(used)) if used else say("prune.auto"))
    with st.popover(label, icon=":material/dataset:"):
        st.markdown(say("prune.data_help"))
        widgets.automatic(say("prune.data_choice"), _names(), title, "data")
        found = upload("data")
    if isinstance(found, RmtvizError):
        st.session_state["data_problem"] = found
    elif found:
        st.session_state["data_next"] = OWN
    if found:
        st.rerun()
    if problem := st.session_state.pop("data_problem", None):
        widgets.refusal(problem)


def _names() -> list[str]:
    return [*DATASETS, OWN] if opened() else [*DATASETS]


def _asked() -> str | None:
    """Return the name of the data that the visitor chose."""
    return widgets.meant("data", _names(), title)


def _recorded(model: Model) -> str | None:
    """Return the name or key of the data that a network of ours was trained on."""
    return datasets.trained_on(model.checkpoint)


def upload(key: str) -> Dataset | RmtvizError | None:
    """Draw an uploader; return what was just opened in it, or why it can't be read.

    The data are kept for this visit, and their file's bytes are dropped.
    """
    turn = st.session_state.setdefault(f"{key}_turn", 0)
    megabytes = -(-Limits.configured().upload_bytes // 10**6)
    st.markdown(say("prune.data_own", megabytes=megabytes))
    files = st.file_uploader(
        say("prune.data_file"),
        key=f"{key}_{turn}",
        accept_multiple_files=True,
        max_upload_size=megabytes,
        label_visibility="collapsed",
    )
    if not files:
        return None
    st.session_state[f"{key}_turn"] = turn + 1
    try:
        with st.spinner(say("prune.data_wait")):
            found = datasets.read({file.name: file.getvalue() for file in files})
    except RmtvizError as problem:
        return problem
    held = opened()
    held.pop(found.key, None)
    held[found.key] = found
    while len(held) > MOST:
        del held[next(iter(held))]
    return found


def entering(run: "Running") -> str:
    """Return in words how a sample enters the network."""
    count = len(run.samples("selection"))
    if run.dataset.text:
        return say("prune.data_enter_text", samples=count, context=run.dataset.pixels)
    if run.dataset.scaled:
        return say("prune.data_enter_columns", samples=count, columns=run.dataset.pixels)
    centre, scale = run.entering
    form = " × ".join(str(side) for side in run.dataset.image_shape if side != 1)
    return say("prune.data_enter", samples=count, form=form, centre=centre, scale=scale)


def title(name: str) -> str:
    """Return a dataset's name as people know it: its own, or the beginning of its key."""
    if name in DATASETS:
        return say(f"prune.data_name.{name}")
    if found := own() if name == OWN else opened().get(name):
        return found.name
    known = datasets.KEY.fullmatch(name)
    return say("train.own_title", digest=name[4:12]) if known else name


@st.cache_resource(scope="session", show_spinner=False)
def opened() -> dict[str, Dataset]:
    """Return the data that the visitor opened, by key, until the tab's connection ends."""
    return {}
