"""The parts of the Train page: the settings, and the live view of a run."""

from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from rmtviz import figures
from rmtviz.errors import BadOption
from rmtviz.tokens import MODES
from rmtviz.ui import jobs, session, widgets
from rmtviz.ui.jobs import Run, Snapshot
from rmtviz.words import say

if TYPE_CHECKING:
    from rmtviz.training import Training

Points = list[tuple[float, str, float]]

REFRESH = 0.5
"""Seconds between two looks at a run that is at work."""

ICONS = {
    "queued": ":material/hourglass_top:",
    "running": ":material/model_training:",
    "paused": ":material/pause_circle:",
    "done": ":material/check_circle:",
    "stopped": ":material/stop_circle:",
    "failed": ":material/error:",
    "interrupted": ":material/history:",
}


def recipe() -> "Training | None":
    """Draw the settings; return them as a recipe, or None after saying what is wrong."""
    from rmtviz.training import Training
    from rmtviz.training import widths as read_widths

    samples = st.select_slider(
        say("train.samples"),
        [1_000, 3_000, 6_000, 12_000, 30_000, 55_000],
        value=12_000,
        format_func="{:,}".format,
    )
    widths = st.text_input(say("train.widths"), "512, 256", help=say("train.widths_help"))
    epochs = st.slider(say("train.epochs"), 1, 40, 10)
    noise = st.slider(
        say("train.label_noise"),
        0,
        60,
        0,
        step=5,
        format="%d %%",
        help=say("train.label_noise_help"),
    )
    if noise:
        st.caption(say("train.label_noise_wrong", share=0.9 * noise / 100))
    with st.expander(say("train.more")):
        rate = st.number_input(say("train.learning_rate"), 1e-5, 0.1, 1e-3, format="%.5f")
        decay = st.number_input(say("train.weight_decay"), 0.0, 0.1, 0.0, format="%.5f")
        seed = st.number_input(say("train.seed"), 0, 2**31 - 1, 0)
    try:
        return Training(
            widths=read_widths(widths),
            epochs=epochs,
            learning_rate=rate,
            weight_decay=decay,
            label_noise=noise / 100,
            train_samples=samples,
            seed=int(seed),
        )
    except BadOption as refusal:
        widgets.refusal(refusal)
        return None


def watch(run: Run, mode: str) -> None:
    """Draw a run: by itself while it is at work, once when it is over."""
    if run.snapshot.over:
        _draw(run, mode)
        _after(run)
        return

    @st.fragment(run_every=REFRESH)
    def follow() -> None:
        if run.snapshot.over:
            st.rerun()
        _draw(run, mode)

    follow()


def _draw(run: Run, mode: str) -> None:
    shot = run.snapshot
    _status(run, shot)
    _figures(run, shot)
    _curves(shot, mode)
    _spectrum(shot, mode)


def _status(run: Run, shot: Snapshot) -> None:
    """Draw the state in words, how far the run is, and its buttons."""
    epoch = min(shot.epoch + (shot.state in ("running", "paused")), shot.epochs)
    ahead = jobs.registry().ahead(run)
    words = say(
        "train.queued_one" if shot.state == "queued" and ahead == 1 else f"train.{shot.state}",
        epoch=epoch,
        epochs=shot.epochs,
        ahead=ahead,
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{ICONS[shot.state]} **{words}**")
        if shot.state == "running":
            st.button(say("train.pause"), icon=":material/pause:", on_click=run.pause)
        if shot.state == "paused":
            st.button(say("train.go_on"), icon=":material/play_arrow:", on_click=run.go_on)
        if not shot.over:
            st.button(say("train.stop"), icon=":material/stop:", on_click=run.stop)
        if shot.state in ("stopped", "failed", "interrupted"):
            st.button(
                say("train.resume"),
                icon=":material/play_arrow:",
                on_click=jobs.registry().resume,
                args=(run,),
            )
    st.progress(shot.share)
    if shot.problem:
        st.error(shot.problem[1], title=shot.problem[0])


def _figures(run: Run, shot: Snapshot) -> None:
    """Draw the latest figures side by side."""
    row: dict[str, Any] = shot.rows[-1] if shot.rows else {}
    with st.container(horizontal=True):
        loss = row.get("train_loss")
        st.metric(say("train.loss"), None if loss is None else f"{loss:.4f}", border=True)
        for key in ("train_accuracy", "selection_accuracy"):
            value = row.get(key)
            st.metric(
                say(f"train.{key}"),
                None if value is None else f"{value:.2%}",
                border=True,
                help=say("train.selection_noisy") if run.recipe.label_noise else None,
            )
        if shot.test_accuracy is not None:
            st.metric(
                say("train.test_accuracy", samples=shot.test_samples),
                f"{shot.test_accuracy:.2%}",
                border=True,
            )


def _curves(shot: Snapshot, mode: str) -> None:
    """Draw loss, accuracy and learnt rank over the epochs, side by side."""
    colours = MODES[mode]
    training, selection = say("train.column_training"), say("train.column_selection")
    loss: Points = [(epoch, "", value) for epoch, value in shot.losses]
    accuracy: Points = [
        (row["epoch"], name, row[key])
        for row in shot.rows
        if row["epoch"]  # before the first step it guesses, and would flatten all the rest
        for name, key in ((training, "train_accuracy"), (selection, "selection_accuracy"))
    ]
    rank: Points = [
        (epoch, name, value)
        for epoch, ranks in enumerate(shot.ranks)
        for name, value in ranks.items()
        if value is not None
    ]
    plain = [colours.ink, colours.learnt, colours.muted]
    charts: tuple[tuple[str, Points, str], ...] = (
        ("loss", loss, ".2f"),
        ("accuracy", accuracy, ".0%"),
        ("rank", rank, "d"),
    )
    for place, (name, points, form) in zip(st.columns(3), charts, strict=True):
        with place.container(border=True, height="stretch"):
            st.caption(say(f"train.{name}_chart"))
            _lines(points, form, plain if name == "loss" else plain[1:], say(f"train.{name}_alt"))


def _lines(points: Points, form: str, colours: list[str], alt: str) -> None:
    """Draw lines through (epoch, name, value); the axis fits the values, not zero."""
    if not points:
        st.caption(say("train.no_points"))
        return
    names = list(dict.fromkeys(name for _, name, _ in points))
    spec: dict[str, Any] = {
        "mark": {"type": "line", "strokeWidth": 2, "point": len(points) < 12},
        "encoding": {
            "x": {
                "field": "epoch",
                "type": "quantitative",
                "title": say("train.column_epoch"),
                "axis": {"format": "d", "tickMinStep": 1, "tickCount": 5, "titlePadding": 4},
            },
            "y": {
                "field": "value",
                "type": "quantitative",
                "title": None,
                "scale": {"zero": False},
                "axis": {"format": form, "tickCount": 4},
            },
            "color": {
                "field": "name",
                "type": "nominal",
                "scale": {"domain": names, "range": colours[: len(names)]},
                "legend": {"orient": "top", "title": None, "offset": 4} if len(names) > 1 else None,
            },
            "strokeDash": {
                "field": "name",
                "type": "nominal",
                "scale": {"domain": names},
                "legend": None,
            },
        },
        "height": 240,
    }
    frame = pd.DataFrame(points, columns=["epoch", "name", "value"]).astype(
        {"epoch": float, "name": str, "value": float}
    )
    st.vega_lite_chart(frame, spec, alt=alt)


def _spectrum(shot: Snapshot, mode: str) -> None:
    """Draw the spectrum of the chosen layer after the latest epoch."""
    if shot.analysis is None:
        return
    epoch = shot.rows[-1]["epoch"]
    names = [layer.name for layer in shot.analysis]
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(say("train.spectrum_of", epoch=epoch))
            name = st.segmented_control(
                say("choice.layer"),
                names,
                default=names[0],
                required=True,
                key="live_layer",
                label_visibility="collapsed",
            )
        layer = shot.analysis[name]
        widgets.chart(
            figures.spectrum(layer, "singular", mode),
            "live-spectrum",
            say("train.spectrum_of", epoch=epoch),
        )


def _after(run: Run) -> None:
    """Make a finished run's network the current model, and offer what comes next."""
    model = jobs.registry().model(run.token)
    if model is None:
        return
    if st.session_state.get("adopted") != (run.token, model.title):
        st.session_state["adopted"] = (run.token, model.title)
        session.choose(model)
        st.rerun()
    with st.container(horizontal=True):
        if st.button(say("train.explore"), icon=":material/query_stats:", type="primary"):
            st.switch_page(widgets.page("explore"))
        if st.button(say("train.prune"), icon=":material/content_cut:"):
            st.switch_page(widgets.page("prune"))
    st.caption(say("train.link"))
