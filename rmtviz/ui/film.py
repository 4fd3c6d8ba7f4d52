"""The film of a run: a layer's spectrum after each epoch, scrubbed back, each computed once."""

from typing import Any

import streamlit as st

from rmtviz import figures
from rmtviz.analysis import LayerAnalysis
from rmtviz.errors import RmtvizError
from rmtviz.ui import widgets
from rmtviz.ui.runs import Run
from rmtviz.words import say


def draw(run: Run, mode: str) -> None:
    """Draw the film: which layer, after which epoch, and the picture.

    Until the slider is moved back it follows the looks that the run takes at its spectra; an
    epoch without one is read from its file when the slider comes to it.
    """
    shot = run.snapshot
    looks = shot.looks
    if not looks:
        return
    names = list(shot.rows[-1]["spikes"])
    key = _key(run)
    _follow(key, looks[-1])
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.segmented_control(
                say("choice.layer"), names, default=names[0], required=True, key="live_layer"
            )
            st.slider(
                say("train.film"),
                0,
                shot.epochs,
                key=key,
                on_change=_moved,
                args=(key, looks[-1]),
                help=say("train.film_help"),
            )
        shown = epoch(run)
        name = name if name in names else names[0]
        try:
            layer = run.frame(shown)[name]
            others = [run.frame(each)[name] for each in looks]
        except RmtvizError as problem:
            widgets.refusal(problem)
            return
        words = _words(shot.rows[shown], layer)
        st.caption(words)
        picture = figures.spectrum(layer, "singular", mode, others)
        code = _lines(run, shown, name) if shot.over else None
        widgets.chart(picture, "live-spectrum", words, code)


def _lines(run: Run, epoch: int, layer: str) -> str:
    """Return the lines of Python that make a frame, from the network that is taken home there."""
    file = f"{run.token}-epoch-{epoch:03}.safetensors"
    return say("chart.code_frame", file=repr(file), layer=repr(layer)).strip() + "\n"


def epoch(run: Run) -> int:
    """Return the finished epoch at which the film stands."""
    last: int = run.snapshot.rows[-1]["epoch"]
    shown: int = st.session_state.get(_key(run), last)
    return min(shown, last)


def _key(run: Run) -> str:
    return f"film_{run.token}"


def _follow(key: str, latest: int) -> None:
    """Let the slider stand at the latest look, unless it was moved back."""
    if st.session_state.get(f"{key}_back"):
        st.session_state.setdefault(key, latest)
    elif st.session_state.get(key) != latest:
        st.session_state[key] = latest


def _moved(key: str, latest: int) -> None:
    st.session_state[f"{key}_back"] = st.session_state[key] < latest


def _words(row: dict[str, Any], layer: LayerAnalysis) -> str:
    """Say of which epoch a frame is, and what a cut took or left."""
    cuts = row["cut"]["layers"] if row["cut"] else []
    made = next((each for each in cuts if each["name"] == layer.name), None)
    if made and made["form"] != "whole" and layer.rank == made["rank_before"]:
        return say(
            "train.spectrum_cut",
            epoch=row["epoch"],
            before=made["rank_before"],
            after=made["rank_after"],
        )
    most = layer.spectrum.p
    if layer.rank < most:
        return say("train.spectrum_left", epoch=row["epoch"], rank=layer.rank, most=most)
    return say("train.spectrum_of", epoch=row["epoch"])
