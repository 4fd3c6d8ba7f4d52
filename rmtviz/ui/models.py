"""The model bar, on every page: the network, the data, the plan; each one click from a change."""

from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from rmtviz import formats
from rmtviz.checkpoint import PLAIN
from rmtviz.errors import RmtvizError
from rmtviz.fits import METHODS
from rmtviz.formats import Limits
from rmtviz.rules import RULES
from rmtviz.ui import copy_link, data, heads, language, plans, session, widgets
from rmtviz.ui.library import SAMPLES, Model, sample
from rmtviz.words import say

COPY_WIDTH = 220


def bar() -> None:
    """Draw the bar: the samples, the visitor's own models, and the way to open a file."""
    model = session.current()
    # Words only: what a widget is given outlives a closed tab, and a model must not.
    titles = {key: title(sample(key)) for key in SAMPLES}
    titles |= {item.key: title(item) for item in session.own_models()}
    with st.container(horizontal=True, vertical_alignment="bottom", key="model-bar"):
        st.session_state["model_choice"] = model.key
        st.segmented_control(
            say("app.model"),
            list(titles),
            format_func=lambda key: titles[key],
            key="model_choice",
            required=True,
            on_change=_chosen,
            help=say("app.model_help"),
            wrap=True,
        )
        turn = st.session_state.setdefault("upload_turn", 0)
        # Each file gets a popover of its own: the last one's would stay open over the answer.
        with st.popover(say("app.open"), icon=":material/upload_file:", key=f"open_{turn}"):
            _upload(turn)
        if len(model.copies) > 1:
            _copies(model)
        misfit = heads.draw(model)
        seen = heads.seen(model)
        data.draw(seen)
        if st.button(_plan(seen), icon=":material/content_cut:", type="tertiary", key="plan"):
            st.switch_page(widgets.page("prune"))
        copy_link.draw()
        language.draw()
    if problem := st.session_state.pop("upload_problem", None):
        widgets.refusal(problem)
    if misfit:
        widgets.refusal(misfit)


def describe(model: Model) -> str:
    """Return one line about a model: what it is, and its size."""
    facts, count = model.spectra.model, len(model.spectra.layers)
    about = say(f"app.sample.{model.key}") if model.key in SAMPLES else widgets.plain(facts.source)
    return say(
        "app.model_line",
        about=about,
        layers=say("app.layers_one") if count == 1 else say("app.layers", count=count),
        parameters=facts.parameters,
        megabytes=facts.bytes / 1e6,
        digest=facts.digest[:8],
    )


def title(model: Model) -> str:
    """Return a model's name, as the bar shows it."""
    if model.key in SAMPLES:
        return say(f"app.sample_title.{model.key}")
    return widgets.plain(model.title)


def source(model: Model) -> str:
    """Return where a model's file is, as lines of Python name it."""
    return f"assets/models/{model.key}.safetensors" if model.key in SAMPLES else model.title


def _plan(model: Model) -> str:
    """Return the plan in three words: what it would store."""
    rule, method = widgets.standing(RULES, "rule"), widgets.standing(METHODS, "method")
    names = [item.layer.name for item in model.spectra.layers]
    own, whole = plans.ranks(model.digest), plans.adopted(model.digest, names)

    def words() -> tuple[str, float]:
        plan = plans.current(model.analysed(method), rule)
        saved = sum(cut.parameters_before - cut.parameters_after for cut in plan.cuts)
        key = "app.plan_none" if plan.nothing else "app.plan"
        return key, 1 - saved / (model.spectra.model.parameters or 1)

    key, stored = model.memo(("stored", method, rule, tuple(sorted(own.items())), whole), words)
    return say(key, stored=stored)


def _copies(model: Model) -> None:
    """Draw the choice of a copy of the weights; another one becomes a model of its own."""
    names = sorted(model.copies)
    now = model.copies[0]
    key = f"copy_{model.key}"
    st.session_state[key] = widgets.meant(key, names, _copy) or now
    wanted = st.selectbox(
        say("app.copy"),
        names,
        format_func=_copy,
        key=key,
        help=say("app.copy_help"),
        width=COPY_WIDTH,
    )
    if wanted == now:
        return
    with st.spinner(say("app.decomposing")):
        known: dict[str, str] = st.session_state.setdefault("copies", {})
        kept = session.library().get(known.get(f"{model.key} {wanted}", ""))
        other = kept or session.library().add(model.checkpoint.taking(wanted))
        known[f"{model.key} {wanted}"] = other.key
        known[f"{other.key} {now}"] = model.key
    st.session_state.pop(key)
    session.choose(other)
    st.rerun()


def _copy(name: str) -> str:
    """Return the name of a copy of the weights, as people read it."""
    return say("app.copy_plain") if name == PLAIN else widgets.plain(name)


def _chosen() -> None:
    key = st.session_state["model_choice"]
    if model := session.find(key):
        session.choose(model)


def _upload(turn: int) -> None:
    """Draw the uploader. Files are read once; their bytes are dropped with the widget's key."""
    st.markdown(say("app.open_help"))
    files = st.file_uploader(
        say("app.file"),
        key=f"upload_{turn}",
        accept_multiple_files=True,
        max_upload_size=-(-Limits.configured().upload_bytes // 10**6),
        label_visibility="collapsed",
    )
    st.code(say("app.open_code"), language="python")
    if not files:
        return
    st.session_state["upload_turn"] = turn + 1
    bar = st.progress(0.0, text=say("app.decomposing"))

    def progress(done: int, of: int) -> None:
        bar.progress(done / max(of, 1), text=say("app.decomposing"))

    contents: dict[str, bytes | Path] = {}
    for number, file in enumerate(files):
        name = file.name if file.name not in contents else f"{number} {file.name}"
        contents[name] = file.getvalue()
        _drop(file.file_id)
    try:
        model = session.library().add(formats.together(contents, apart=True), progress=progress)
    except RmtvizError as problem:
        st.session_state["upload_problem"] = problem
    else:
        session.choose(model)
    st.rerun()


def _drop(file_id: str) -> None:
    """Let the server forget an uploaded file, which it would keep as long as the session."""
    if context := get_script_run_ctx():
        manager: Any = context.uploaded_file_mgr
        manager.remove_file(context.session_id, file_id)
