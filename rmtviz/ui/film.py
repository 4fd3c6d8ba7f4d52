"""The film of a run: a layer's spectrum after each look, scrubbed back without computing again."""

import streamlit as st

from rmtviz import figures
from rmtviz.errors import RmtvizError
from rmtviz.ui import widgets
from rmtviz.ui.runs import Run
from rmtviz.words import say


def draw(run: Run, mode: str) -> None:
    """Draw the film: which layer, after which epoch, and the picture.

    Until the slider is moved back it shows the latest look.
    """
    shot = run.snapshot
    looks = shot.looks
    if not looks:
        return
    names = list(shot.rows[-1]["spikes"])
    key = f"film_{run.token}"
    _follow(key, looks[-1])
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            layer = st.segmented_control(
                say("choice.layer"),
                names,
                default=names[0],
                required=True,
                key="live_layer",
            )
            moved = st.slider(
                say("train.film"),
                0,
                shot.epochs,
                key=key,
                on_change=_moved,
                args=(key, looks[-1]),
                help=say("train.film_help"),
            )
        shown = max(each for each in looks if each <= moved)
        try:
            frames = {each: run.frame(each) for each in looks}
        except RmtvizError as problem:
            widgets.refusal(problem)
            return
        layer = layer if layer in names else names[0]
        words = say("train.spectrum_of", epoch=shown)
        st.caption(words + _after_cut(run, shown))
        widgets.chart(
            figures.spectrum(
                frames[shown][layer], "singular", mode, [each[layer] for each in frames.values()]
            ),
            "live-spectrum",
            words,
        )


def epoch(run: Run) -> int:
    """Return the finished epoch at which the film stands."""
    last: int = run.snapshot.rows[-1]["epoch"]
    shown: int = st.session_state.get(f"film_{run.token}", last)
    return min(shown, last)


def _follow(key: str, latest: int) -> None:
    """Let the slider stand at the latest look, unless it was moved back."""
    if st.session_state.get(f"{key}_back"):
        st.session_state.setdefault(key, latest)
    elif st.session_state.get(key) != latest:
        st.session_state[key] = latest


def _moved(key: str, latest: int) -> None:
    st.session_state[f"{key}_back"] = st.session_state[key] < latest


def _after_cut(run: Run, epoch: int) -> str:
    row = next(row for row in run.snapshot.rows if row["epoch"] == epoch)
    return " " + say("train.after_cut") if row["cut"] else ""
