"""The parts of the Explore page around the spectrum chart: what a dragged cut would do.

The chart stands at once; the accuracy at every rank comes a moment later (`measure`), for
the current plan of the other layers. A rank that was let go is computed again, exactly.
"""

import base64
import functools
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import streamlit as st

from rmtviz import pruning, verdict
from rmtviz.ablation import Ablation
from rmtviz.analysis import Analysis, LayerAnalysis
from rmtviz.errors import CannotRun, DataRefused, ExtraMissing
from rmtviz.evaluation import Evaluation
from rmtviz.fits import Method
from rmtviz.pruning import PruningPlan
from rmtviz.rules import RULES
from rmtviz.tradeoff import Curve
from rmtviz.ui import data as visitors
from rmtviz.ui import heads, links, models, plans, running, session, spectrum_chart, widgets
from rmtviz.ui.judging import Reason
from rmtviz.ui.library import INITIALS, Model
from rmtviz.ui.running import Running
from rmtviz.ui.spectrum_chart import shown
from rmtviz.words import say

PICTURES = 40
"""So many of the strongest directions are sent along as pictures, with what they do."""

PATIENCE = 1.0
"""Seconds that a page waits for the accuracy before it goes on without."""

SIDE = 28
"""The side of the images that the demo networks see."""


@dataclass(frozen=True, slots=True)
class Guesses:
    """The network reads no better than guessing: its accuracy says nothing about a cut."""

    whole: Evaluation

    @property
    def what(self) -> str:
        """The finding in words."""
        return verdict.of_guessing(self.whole) or ""


@dataclass(frozen=True, slots=True)
class Measured:
    """What the chart estimates from: the running network, and the curve of one layer.

    `whole` is how the network before any cut reads the samples of the curve; `without` is
    what the strongest spikes do, each taken out alone.
    """

    run: Running
    whole: float
    curve: Curve
    without: tuple[Ablation, ...]


Found = Measured | Reason | Guesses | None
"""What was measured; or why nothing could be; or None: not yet."""


def drags(view: str, picture: str) -> bool:
    """Return whether the cut can be dragged: of the weights themselves, where it has a place."""
    return view == "weights" and picture != "quantiles"


@dataclass(frozen=True, slots=True)
class Subject:
    """What one chart is about: a layer of a model, in a view, within the plan of the others."""

    model: Model
    analysis: Analysis
    layer: LayerAnalysis
    view: str

    @property
    def cuts(self) -> bool:
        """Whether it can be cut: only the weights themselves can."""
        return self.view == "weights"

    @property
    def most(self) -> int:
        """The number of values that are shown."""
        return self.layer.shown.p

    def plan(self, rank: int) -> PruningPlan:
        """Return the current plan, with this rank of the layer."""
        own = plans.own(self.analysis) | {self.layer.name: self._within(rank)}
        return pruning.plan(self.analysis, widgets.standing(RULES, "rule"), own)

    def start(self) -> int:
        """Return the layer's rank in the current plan; where both ends stay, that of the upper."""
        rule = widgets.standing(RULES, "rule")
        cut = plans.standing(self.analysis, rule)[self.layer.name]
        kept = cut.kept or range(cut.rank_after)
        rank = next(i for i, place in enumerate((*kept, -1)) if place != i)
        return min(rank, self.most) if cut.form != "whole" else self.most

    def _within(self, rank: int) -> int:
        return rank if rank < self.most else self.layer.spectrum.p


def subject(key: str, method: Method, view: str, layer: str) -> Subject | None:
    """Return what a chart is about; None if the model was forgotten."""
    model = session.find(key)
    if model is None:
        return None
    model = heads.seen(model)
    analysis = model.analysed(method, view)
    return Subject(model, analysis, analysis[layer], view)


@st.fragment
def chart(key: str, method: Method, view: str, layer: str, picture: str, scale: str) -> None:
    """Draw the chart and what can be done with its cut, as a part that runs on its own.

    It is given words only: Streamlit keeps them after a tab is closed, and a model must not stay.
    """
    about = subject(key, method, view, layer)
    if about is None:
        st.rerun()
    start = about.start() if about.cuts else (about.layer.spikes or about.most)
    of = "|".join((about.model.digest[:12], layer, view, str(start)))
    _linked(of, about.most)
    rank = spectrum_chart.told(of, about.most) or start
    _link(rank, start)
    spectrum_chart.show(data(about, picture, scale, of, rank), session.mode())
    if about.cuts:
        _said(about, _known(about), rank)
        if not links.bare():
            _take(about, of, rank, start)


def _said(about: Subject, found: Found, rank: int) -> None:
    """Say why the chart shows no accuracy, where it shows none; and the loss on text."""
    if isinstance(found, Measured):
        if found.run.dataset.text:
            read = running.pruned(found.run, about.plan(rank))
            st.caption(verdict.of_reading(running.whole(found.run), read))
    elif found is not None:
        st.caption(widgets.plain(found.what))


def data(about: Subject, picture: str, scale: str, of: str, rank: int) -> dict[str, Any]:
    """Return what the chart draws and says."""
    layer, model = about.layer, about.model
    found = _known(about) if about.cuts else None
    known = found if isinstance(found, Measured) else None
    return {
        **shown.data(layer, picture, scale),
        "of": of,
        "rank": rank,
        "drags": drags(about.view, picture),
        "reads": about.cuts,
        "runs": about.cuts and (known is not None or found is None),
        "tall": layer.layer.shape[0] > layer.layer.shape[1],
        "known": shown.spikes(layer),
        "without": [asdict(each) for each in known.without] if known else [],
        "images": _images(about, known.run) if known else [],
        "size": _size(about) if about.cuts else None,
        "removed": None if known else _removed(layer, about.most),
        "curve": _curve(known.curve) if known else None,
        "whole": known.whole if known else None,
        "exact": _exact(about, known.run, rank) if known else None,
        "code": lines(about, picture),
        "file": f"spectrum-{layer.name}-{picture}",
        "words": spectrum_chart.words(picture, scale)
        | {
            "title": say(
                "chart.title",
                model=models.title(model),
                layer=layer.name,
                shape="{} × {}".format(*layer.layer.shape),
            ),
            "alt": say("chart.alt", layer=layer.name, verdict=verdict.of_layer(layer)),
        },
    }


def measure(key: str, method: Method, view: str, layer: str) -> None:
    """Have the accuracy at every rank measured if it is not known yet, then draw again.

    The page stays usable meanwhile: what takes longer than `PATIENCE` goes on behind it.
    """
    about = subject(key, method, view, layer)
    if not about or not about.cuts or _known(about) is not None:
        return
    begun = _begun(about)
    del about
    try:
        begun.result(PATIENCE)
    except TimeoutError:
        _awaited(key, method, view, layer)
    else:
        st.rerun()


@st.fragment(run_every=PATIENCE)
def _awaited(key: str, method: Method, view: str, layer: str) -> None:
    """Draw the page again as soon as the accuracy is known; given words only, as `chart` is."""
    about = subject(key, method, view, layer)
    if about is None or _known(about) is not None or _begun(about).done():
        st.rerun()


def _begun(about: Subject) -> Future[Found]:
    """Return what will be measured, begun on a thread that knows nothing of the session."""
    kept, how, plan = _key(about), visitors.how(about.model), about.plan(about.most)
    model, name = about.model, about.layer.name

    def work() -> Found:
        return model.memo(kept, lambda: _measured(model, name, how, plan))

    return model.memo(("measuring", kept), lambda: _workers().submit(work))


@functools.cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, "measure")


def _known(about: Subject) -> Found:
    """Return what was measured for the others' plan, or why nothing could be."""
    try:
        found: Found = about.model.memo.known(_key(about))
    except (DataRefused, ExtraMissing) as reason:
        return reason
    return found


def _key(about: Subject) -> tuple[object, ...]:
    *how, own = visitors.how(about.model)
    plan = about.plan(about.most)
    return "explored", plan, about.layer.name, *how, own.key if own else None


def _measured(model: Model, layer: str, how: tuple[Any, ...], plan: PruningPlan) -> Found:
    try:
        run = running.running(model, *how)
        before = running.whole(run)
        if verdict.of_guessing(before):
            return Guesses(before)
        curve = running.curve(run, layer, plan)
        without = running.without(run, layer, PICTURES)
        return Measured(run, _read(run, before, curve.samples), curve, without)
    except (CannotRun, DataRefused, ExtraMissing) as reason:
        return reason


def _read(run: Running, before: Evaluation, count: int) -> float:
    """Return how the whole network reads the first samples, on which the curve was measured."""
    labels = run.samples("selection").labels[:count]
    return float((before.predictions[:count] == labels).mean())


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "ranks": list(curve.ranks),
        "accuracy": curve.accuracy.tolist(),
        "needed": curve.needed,
        "samples": curve.samples,
        "unit": say(f"unit.{curve.unit}"),
    }


def _exact(about: Subject, run: Running, rank: int) -> dict[str, Any]:
    """Return the accuracy of the whole plan with this rank, read again."""
    read = running.pruned(run, about.plan(rank))
    return {
        "rank": rank,
        "accuracy": read.accuracy,
        "samples": read.samples,
        "whole": running.whole(run).accuracy,
    }


def _size(about: Subject) -> dict[str, int]:
    """Return what the network stores beside the layer, and the layer's own sides."""
    layer = about.layer
    whole = about.model.spectra.model.parameters
    cuts = about.plan(about.most).cuts
    (m, n) = layer.layer.shape
    saved = sum(cut.parameters_before - cut.parameters_after for cut in cuts)
    return {
        "m": m,
        "n": n,
        "layer": layer.parameters,
        "rank": min(layer.rank, about.most),
        "pairs": layer.layer.pairs,
        "rest": whole - saved - layer.parameters,
        "whole": whole,
    }


def _removed(layer: LayerAnalysis, most: int) -> list[float]:
    """Return the share of the weights' norm that a cut removes, by rank from 0."""
    squares = np.cumsum(layer.spectrum.values[::-1] ** 2)[::-1]
    lost = np.sqrt(squares / (layer.spectrum.energy or 1.0))
    return [*(float(f"{share:.4g}") for share in lost[:most]), 0.0]


def _images(about: Subject, run: Running) -> list[str]:
    """Return the strongest spikes' directions among the inputs, where those are images."""
    first, layer = run.network.layers[0], about.layer
    if first.name != layer.name or layer.layer.shape[1] != SIDE**2 or layer.scaled:
        return []
    vectors = running.factors(about.model, layer.name).right
    return [_image(vectors[:, i]) for i in range(min(layer.spikes or 0, PICTURES))]


def _image(vector: Any) -> str:
    """Return a direction as one byte an input, 128 for nothing; its largest entry is positive."""
    scaled = vector / vector[np.abs(vector).argmax()]
    return base64.b64encode(np.round(128 + 127 * scaled).astype(np.uint8).tobytes()).decode()


def lines(about: Subject, picture: str) -> str:
    """Return the lines of Python that make the picture."""
    model = about.model
    source, begin = repr(models.source(model)), INITIALS.get(model.key)
    initial = f"{'assets/models/' + begin if begin else 'initial'}.safetensors"
    load = say(
        "chart.code_load",
        model=heads.code(
            model, say(f"chart.code_{about.view}", source=source, initial=repr(initial))
        ),
        method=repr(about.analysis.method),
        layer=repr(about.layer.name),
    )
    return f"{load}\n\n{say(f'chart.code_{picture}')}\n"


def _linked(of: str, most: int) -> None:
    """Take the rank of the address, where it leads."""
    if not links.fresh("rank"):
        return
    word = st.query_params.get("rank", "")
    if word.isdecimal() and 1 <= int(word) <= most:
        st.session_state[spectrum_chart.KEY] = {"cut": {"of": of, "rank": int(word)}}
    elif links.turned():
        st.session_state.pop(spectrum_chart.KEY, None)


def _link(rank: int, start: int) -> None:
    links.put("rank", None if rank == start else str(rank))
    links.settle()


def _take(about: Subject, of: str, rank: int, start: int) -> None:
    """Draw the ways on: take the rank to the plan, or put the cut back where the plan has it."""
    name = about.layer.name
    with st.container(horizontal=True):
        same = rank == start
        if st.button(
            say("chart.taken") if same else say("chart.take", rank=rank),
            icon=":material/content_cut:",
            type="secondary" if same else "primary",
            help=say("chart.take_help", layer=widgets.plain(name)),
            key="take",
        ):
            if not same:
                plans.set_rank(about.model.digest, name, about._within(rank))
            st.switch_page(widgets.page("prune"))
        st.button(
            say("chart.back", rank=start),
            icon=":material/undo:",
            disabled=same,
            key="put_back",
            on_click=st.session_state.__setitem__,
            args=(spectrum_chart.KEY, {"cut": {"of": of, "rank": start}}),
        )
