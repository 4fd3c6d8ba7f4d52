"""Two plans side by side: layer by layer, and on test samples the answers in which they differ."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

from rmtviz import figures, pruning
from rmtviz.cuts import LayerCut, PruningPlan
from rmtviz.datasets import Samples
from rmtviz.evaluation import Evaluation, compare, evaluate
from rmtviz.rules import Off
from rmtviz.ui import session, widgets
from rmtviz.ui.running import Running
from rmtviz.ui.study import Study
from rmtviz.words import say

SHOWN = 24
"""So many of the samples whose answer differs are shown."""

WIDE = 104
"""The width of a sample's picture in pixels."""


def draw(run: Running, study: Study, mine: Mapping[str, PruningPlan], name: str) -> None:
    """Draw the choice of a plan to compare with, and what differs."""
    whole = say("studio.family.whole")
    original = pruning.plan(study.piece.analysis, Off())
    others = {whole: original, **{key: plan for key, plan in mine.items() if key != name}}
    beside = st.selectbox(
        say("studio.compare"),
        [None, *others],
        format_func=lambda key: key or say("studio.nothing"),
        key="row_beside",
    )
    if beside is None:
        return
    one, other = mine[name], others[beside]
    titles = (name, beside)
    _layers(one, other, titles)
    asked: set[object] = st.session_state.setdefault("compared", set())
    token = (run.key, one, other)
    unit = say(f"unit.{run.dataset.unit}")
    if st.button(say("studio.compare_test", unit=unit), icon=":material/fact_check:"):
        asked.add(token)
    if token in asked:
        with st.spinner(say("prune.test_wait")):
            found = (read(run, study, one), read(run, study, other))
        answers(found, run.samples("test"), titles)


def read(run: Running, study: Study, plan: PruningPlan) -> Evaluation:
    """Return how a plan reads the test samples, once, kept with the model."""
    return run.model.memo(
        ("read", run.key, plan),
        lambda: evaluate(run.choice(study.piece.cut(plan)), run.samples("test")),
    )


def answers(
    found: tuple[Evaluation, Evaluation], samples: Samples, titles: tuple[str, str]
) -> None:
    """Draw how two networks' answers to the same samples differ."""
    one, other = found
    paired = compare(other, one, samples.labels)
    st.markdown(
        say(
            "studio.compare_read",
            one=widgets.plain(titles[0]),
            other=widgets.plain(titles[1]),
            accuracy=one.accuracy,
            beside=other.accuracy,
            samples=one.samples,
            unit=say(f"unit.{one.unit}"),
            points=100 * paired.difference,
            low=100 * paired.low,
            high=100 * paired.high,
        )
    )
    if samples.classes <= figures.CLASSES:
        for place, each, title in zip(st.columns(2), found, titles, strict=True):
            with place:
                st.markdown(f"**{widgets.plain(title)}**")
                table = confusion(each, samples)
                widgets.chart(
                    figures.confusion(table, session.mode()),
                    f"confusion-{'one' if each is one else 'other'}",
                    say("studio.confusion_alt", title=title),
                )
    differ = np.flatnonzero(one.predictions != other.predictions)
    st.markdown(say("studio.differ", count=len(differ), samples=one.samples))
    if len(samples.images) == len(samples.labels) and len(differ):
        _pictures(found, samples, differ[:SHOWN])


def confusion(found: Evaluation, samples: Samples) -> Any:
    """Return how often each class (row) was taken for each (column): (classes, classes)."""
    table = np.zeros((samples.classes, samples.classes), dtype=np.int64)
    np.add.at(table, (samples.labels, found.predictions), 1)
    return table


def _pictures(found: tuple[Evaluation, Evaluation], samples: Samples, differ: Any) -> None:
    """Draw the samples as pictures, with the label and both answers, where they are pictures."""
    side = round(samples.images.shape[1] ** 0.5)
    if side**2 != samples.images.shape[1]:
        return
    levels = samples.images[differ].astype(np.float64).reshape(-1, side, side)
    low, high = levels.min(), levels.max()
    st.image(
        [(each - low) / ((high - low) or 1.0) for each in levels],
        caption=[
            say(
                "studio.differ_one",
                label=int(samples.labels[i]),
                one=int(found[0].predictions[i]),
                other=int(found[1].predictions[i]),
            )
            for i in differ
        ],
        width=WIDE,
    )


def _layers(one: PruningPlan, other: PruningPlan, titles: tuple[str, str]) -> None:
    names = widgets.short_names([cut.name for cut in one.cuts])
    st.table(
        [
            {
                say("prune.column.name"): names[cut.name],
                **{
                    say("studio.rank_in", title=title): plan[cut.name].rank_after
                    for title, plan in zip(titles, (one, other), strict=True)
                },
                say("studio.weights_more"): f"{_more(cut, other):+,}",
            }
            for cut in one.cuts
        ],
        border="horizontal",
        alt=say("studio.compare_alt"),
        hide_index=True,
    )


def _more(cut: LayerCut, other: PruningPlan) -> int:
    """Return how many weights a layer stores more than in another plan."""
    return cut.parameters_after - other[cut.name].parameters_after
