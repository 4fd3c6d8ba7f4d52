"""What one visitor looks at: the current model, bound to the URL; and caches shared by all."""

import streamlit as st

from rmtviz import analysis
from rmtviz.analysis import Analysis
from rmtviz.fits import Method
from rmtviz.ui.library import SAMPLES, Library, Model, sample
from rmtviz.words import say


@st.cache_resource(show_spinner=False)
def library() -> Library:
    """Return the one library of this server."""
    return Library()


def current() -> Model:
    """Return the visitor's model: from this session, else from the URL, else the first sample."""
    key = st.session_state.get("model") or st.query_params.get("model") or SAMPLES[0]
    model = sample(key) if key in SAMPLES else library().get(key)
    if model is None:
        st.warning(say("app.model_gone"), icon=":material/history:")
        model = sample(SAMPLES[0])
    st.session_state["model"] = model.key
    if st.query_params.get("model", SAMPLES[0]) != model.key:
        st.query_params["model"] = model.key
    return model


def choose(model: Model) -> None:
    """Make this the visitor's model; everything that belonged to the last one is dropped."""
    st.session_state["model"] = model.key
    if model.key not in SAMPLES:
        mine = st.session_state.setdefault("own_models", [])
        if model.key not in mine:
            mine.append(model.key)
    st.session_state.pop("layer", None)
    st.query_params["model"] = model.key


def own_models() -> list[Model]:
    """Return the visitor's own models that the library still holds, the current one included."""
    keys = dict.fromkeys(st.session_state.get("own_models", []))
    if (now := st.session_state.get("model")) and now not in SAMPLES:
        keys[now] = None
    return [model for key in keys if (model := library().get(key))]


def analysed(model: Model, method: Method) -> Analysis:
    """Return the fits of a model's layers by a method, from the cache where they are known."""
    return _analysed(model.spectra.model.digest, method, model)


@st.cache_resource(max_entries=64, show_spinner=False)
def _analysed(digest: str, method: Method, _model: Model) -> Analysis:
    return analysis.fit(_model.spectra, method)


def mode() -> str:
    """Return "light" or "dark", as the visitor's browser shows the app."""
    return "dark" if st.context.theme.type == "dark" else "light"
