"""The film of a run: a layer's spectrum at each look that the run took, scrubbed back."""

from typing import Any

import streamlit as st

from rmtviz import figures
from rmtviz.analysis import LayerAnalysis
from rmtviz.errors import RmtvizError
from rmtviz.ui import widgets
from rmtviz.ui.runs import Run, Snapshot
from rmtviz.words import say


def draw(run: Run, mode: str) -> None:
    """Draw the film: which layer, after which epoch, and the picture.

    The slider stands at looks only, since other epochs have none of their own. It follows the
    run until it is moved back; each new look makes a new slider, so that no answer of the
    browser to the one before is taken for a move.
    """
    shot = run.snapshot
    looks = shot.looks
    if not looks:
        return
    names = list(shot.rows[-1]["spikes"])
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.segmented_control(
                say("choice.layer"), names, default=names[0], required=True, key="live_layer"
            )
            if len(looks) > 1:
                key = f"film_{run.token}_{len(looks)}"
                st.select_slider(
                    say("train.film"),
                    looks,
                    value=epoch(run),
                    key=key,
                    on_change=_moved,
                    args=(_place(run), key, looks[-1]),
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
        st.caption(f"{words} · {_between(shot)}")
        if layer.bulk is None and layer.rank < layer.spectrum.p:
            st.info(say("train.spectrum_gone", rank=layer.rank), icon=":material/content_cut:")
            return
        picture = figures.spectrum(layer, "singular", mode, others)
        code = _lines(run, shown, name) if shot.over else None
        widgets.chart(picture, "live-spectrum", words, code)


def _lines(run: Run, epoch: int, layer: str) -> str:
    """Return the lines of Python that make a frame, from the network that is taken home there."""
    file = f"{run.token}-epoch-{epoch:03}.safetensors"
    return say("chart.code_frame", file=repr(file), layer=repr(layer)).strip() + "\n"


def epoch(run: Run) -> int:
    """Return the epoch at whose look the film stands: the latest, or to which it was moved."""
    looks, moved = run.snapshot.looks, st.session_state.get(_place(run))
    return moved if moved in looks else looks[-1]


def _place(run: Run) -> str:
    return f"film_{run.token}"


def _moved(place: str, key: str, latest: int) -> None:
    """Keep to where the slider was moved; at the end it follows the run."""
    shown: int = st.session_state[key]
    st.session_state[place] = shown if shown < latest else None


def _between(shot: Snapshot) -> str:
    """Say how many epochs have a look of their own, and that the latest one is older."""
    last, latest = shot.rows[-1]["epoch"], shot.looks[-1]
    words = say("train.film_looks", looks=len(shot.looks), epochs=last + 1)
    if latest < last:
        words += " " + say("train.film_latest", epoch=last, looked=latest)
    return words


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
