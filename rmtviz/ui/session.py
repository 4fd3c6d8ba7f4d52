"""What one visitor looks at: the current model, bound to the URL."""

import threading
import time

import streamlit as st

from rmtviz.ui import jobs, links
from rmtviz.ui.library import SAMPLES, Library, Model, sample
from rmtviz.words import say

SWEEP_SECONDS = 30.0


@st.cache_resource(show_spinner=False)
def library() -> Library:
    """Return the one library of this server; it is swept as long as the server runs."""
    kept = Library()

    def sweep() -> None:
        while True:
            time.sleep(SWEEP_SECONDS)
            kept.sweep()

    threading.Thread(target=sweep, name="library", daemon=True).start()
    return kept


def find(key: str) -> Model | None:
    """Return a model by its key: a sample, a training run's, or one of the library."""
    if key in SAMPLES:
        return sample(key)
    return jobs.registry().model(key) or library().get(key)


def current() -> Model:
    """Return the visitor's model: from this session, else from the URL, else the first sample."""
    if links.fresh("model") and (links.turned() or "model" not in st.session_state):
        st.session_state["model"] = st.query_params.get("model") or SAMPLES[0]
    model = find(st.session_state["model"])
    if model is None:
        st.warning(say("app.model_gone"), icon=":material/history:")
        model = sample(SAMPLES[0])
    st.session_state["model"] = model.key
    if model.key not in SAMPLES:
        _held(model.key)
    links.put("model", None if model.key == SAMPLES[0] else model.key)
    return model


def choose(model: Model) -> None:
    """Make this the visitor's model; what belonged to the last one is dropped."""
    st.session_state["model"] = model.key
    mine = st.session_state.setdefault("own_models", [])
    if model.key not in (*SAMPLES, *mine):
        mine.append(model.key)
    for key in ("layer", "run_activation", "run_inputs", "data", "heads"):
        st.session_state.pop(key, None)


def own_models() -> list[Model]:
    """Return the visitor's own models that are still kept, the current one included."""
    keys = dict.fromkeys(st.session_state.get("own_models", []))
    if (now := st.session_state.get("model")) and now not in SAMPLES:
        keys[now] = None
    return [model for key in keys if (model := find(key))]


def mode() -> str:
    """Return "light" or "dark", as the visitor's browser shows the app."""
    return "dark" if st.context.theme.type == "dark" else "light"


def _let_go(key: str) -> None:
    library().release(key)


@st.cache_resource(scope="session", on_release=_let_go, show_spinner=False)
def _held(key: str) -> str:
    """Hold a model for this tab until its connection ends; see `Library.hold`."""
    library().hold(key)
    return key
