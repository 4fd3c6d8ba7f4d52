"""The parts of the studio that ask more of one plan: how fast it is, and what tuning gives back."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import streamlit as st

from rmtviz import formats, verdict
from rmtviz.cuts import PruningPlan
from rmtviz.evaluation import ROUNDS, Latency
from rmtviz.ui import widgets
from rmtviz.ui.running import Running
from rmtviz.ui.study import BATCHES, Study
from rmtviz.words import say
from rmtviz.workpiece import Outcome

if TYPE_CHECKING:
    from rmtviz.finetuning import Tuned


def draw(run: Running, study: Study, chosen: Outcome) -> None:
    """Draw the two questions, and the answers of those that were asked."""
    plan = chosen.plan
    if plan.nothing:
        return
    asked: set[object] = st.session_state.setdefault("polished", set())
    tunes = plan.density == 1 and len(run.dataset.train_labels) > 0
    speed, tuning = ("speed", run.key, plan), ("tuning", run.key, plan)
    with st.container(horizontal=True):
        if st.button(say("studio.speed"), icon=":material/speed:", help=say("studio.speed_help")):
            asked.add(speed)
        if tunes and st.button(
            say("studio.tune"), icon=":material/model_training:", help=say("studio.tune_help")
        ):
            asked.add(tuning)
    if speed in asked:
        _speed(study, plan)
    if tuning in asked and tunes:
        _tuning(run, study, chosen)


def _speed(study: Study, plan: PruningPlan) -> None:
    """Draw how long the network takes before and after, and where a layer became slower."""
    stream = study.timed(plan)
    times = dict(stream.found)
    with st.container(horizontal=True):
        for batch in BATCHES:
            found = times.get(batch)
            st.metric(
                say("studio.speed_batch", batch=batch),
                _took(found["plan"]) if found else None,
                say("studio.speed_share", share=found["plan"].median / found[""].median - 1)
                if found
                else None,
                delta_color="inverse" if found and _differ(found) else "off",
                delta_description=say("studio.speed_whole", time=_took(found[""]))
                if found
                else None,
                border=True,
            )
    if not stream.over:
        st.caption(say("studio.speed_wait"))
        return
    first = times[BATCHES[0]]
    st.markdown(verdict.of_latency(first[""], first["plan"]))
    for batch, found in times.items():
        cut, whole = found["plan"], found[""]
        st.caption(
            say(
                "studio.speed_spread",
                rounds=ROUNDS,
                batch=batch,
                low=1e6 * cut.low,
                high=1e6 * cut.high,
                whole_low=1e6 * whole.low,
                whole_high=1e6 * whole.high,
            )
        )
        slower = [name for name in found if name not in ("", "plan") and _slower(found, name)]
        if slower or _slower(found, "plan"):
            names = ", ".join(slower) or say("studio.speed_together")
            st.markdown(say("studio.slower", batch=batch, layers=widgets.plain(names)))


def _took(time: Latency) -> str:
    return say("studio.speed_value", median=1e6 * time.median)


def _slower(found: Mapping[str, Latency], name: str) -> bool:
    """Return whether a cut is slower, beyond the spread of both."""
    return found[name].low > found[""].high


def _differ(found: Mapping[str, Latency]) -> bool:
    return _slower(found, "plan") or found["plan"].high < found[""].low


def _tuning(run: Running, study: Study, chosen: Outcome) -> None:
    """Draw the accuracy before, after the cut and after tuning, as it comes."""
    from rmtviz import finetuning

    stream = study.tuned(chosen.plan, run.samples("train"))
    if stream.problem:
        widgets.refusal(stream.problem, st.info, ":material/info:")
        return
    whole, epochs = study.piece.whole, stream.found
    best = finetuning.chosen(epochs) if epochs else None
    with st.container(horizontal=True):
        for name, accuracy in (
            ("before", whole.accuracy),
            ("cut", chosen.accuracy),
            ("tuned", best.accuracy if best and len(epochs) > 1 else None),
        ):
            st.metric(
                say(f"studio.tuned_{name}", samples=whole.samples),
                None if accuracy is None else f"{accuracy:.2%}",
                border=True,
            )
    done = max(0, len(epochs) - 1)
    if not stream.over:
        most = finetuning.Tuning().epochs
        st.progress(min(1.0, done / most), text=say("studio.tuning", epoch=done, epochs=most))
    elif best:
        st.caption(say("studio.tuned_stop", epochs=done, epoch=best.epoch))
        st.download_button(
            say("studio.download_tuned"),
            lambda: _written(run, best),
            "tuned.safetensors",
            icon=":material/download:",
            on_click="ignore",
        )


def _written(run: Running, best: "Tuned") -> bytes:
    return formats.write(best.checkpoint.with_about(network=run.choice.record()), "safetensors")
