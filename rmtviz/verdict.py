"""Results as sentences: what a fit means for somebody who must decide."""

from typing import TYPE_CHECKING

from rmtviz.analysis import Analysis, LayerAnalysis
from rmtviz.fits import Law, Status
from rmtviz.fits.base import null_band
from rmtviz.pruning import PruningPlan, Size
from rmtviz.words import say

if TYPE_CHECKING:
    from rmtviz.evaluation import Evaluation, Latency, Paired
    from rmtviz.tradeoff import Curve


def of_layer(layer: LayerAnalysis) -> str:
    """Return one sentence: how many of the directions can't be told from random."""
    p = layer.spectrum.p
    if layer.spikes is None:
        return say(f"status.{layer.status}", p=p, rank=layer.spectrum.hard_rank)
    assert layer.bulk_energy is not None
    key = "none" if layer.spikes == 0 else "all" if layer.spikes == p else "some"
    return say(
        f"verdict.layer_{key}",
        bulk=p - layer.spikes,
        spikes=layer.spikes,
        p=p,
        directions=layer.bulk_directions,
        energy=1 - layer.bulk_energy,
    )


def of_fit(layer: LayerAnalysis) -> str:
    """Return how good the fit is and what follows for somebody who wants to cut."""
    if layer.law is None:
        return say(f"advice.{layer.status}")
    band = null_band(layer.shown.p - (layer.spikes or 0), layer.shown.beta)
    return say(f"law.{layer.law}", ks=layer.ks, band=band)


def of_noise(layer: LayerAnalysis) -> tuple[str, ...]:
    """Return what else there is to know: codes, an estimate, what the entries say of the noise."""
    entries, words = layer.entries, []
    if layer.layer.codes:
        words.append(say("verdict.coded", codes=layer.layer.codes))
    if layer.spectrum.estimated:
        words.append(say("verdict.noise_estimated", error=layer.spectrum.estimated))
    if layer.scaled:
        words.append(say("verdict.noise_scaled"))
    if layer.corrected and entries:
        words.append(say("verdict.noise_corrected", kurtosis=entries.kurtosis))
    elif entries and entries.extreme and not layer.scaled:
        words.append(say("verdict.noise_extreme", kurtosis=entries.kurtosis))
    if entries and entries.uneven and layer.bulk and not layer.scaled:
        rows, columns = entries.row_spread, entries.column_spread
        words.append(say("verdict.noise_uneven", rows=rows, columns=columns))
    return tuple(words)


def ranks(layer: LayerAnalysis) -> str:
    """Return the ranks that the methods find, as "81–115"; empty where none finds one."""
    found = sorted(rank for rank in layer.ranks.values() if rank is not None)
    if not found:
        return ""
    return f"{found[0]}" if found[0] == found[-1] else f"{found[0]}–{found[-1]}"


def of_range(layer: LayerAnalysis) -> str:
    """Return the ranks that the methods find, and whether they agree."""
    ranks = sorted(rank for rank in layer.ranks.values() if rank is not None)
    if not ranks or layer.spikes is None:
        return ""
    key = "stable" if layer.stable else "unstable"
    if ranks[0] == ranks[-1] and layer.stable:
        key = "same"
    return say(f"verdict.range_{key}", low=ranks[0], high=ranks[-1])


def of_model(analysis: Analysis) -> str:
    """Return one sentence about the whole model."""
    fitted = [layer for layer in analysis if layer.status is Status.OK]
    if not analysis.layers:
        return say("verdict.model_empty")
    if not fitted:
        one = "_one" if len(analysis.layers) == 1 else ""
        return say(f"verdict.model_unfitted{one}", layers=len(analysis.layers))
    directions = sum(layer.spectrum.p for layer in fitted)
    bulk = directions - sum(layer.spikes or 0 for layer in fitted)
    poor = sum(layer.law is Law.NO or layer.stable is False for layer in fitted)
    one = "_one" if len(analysis.layers) == 1 else ""
    sentence = say(
        f"verdict.model{one}",
        layers=len(fitted),
        of=len(analysis.layers),
        bulk=bulk,
        directions=directions,
        share=bulk / directions,
    )
    if not poor:
        return sentence
    return say("verdict.both", first=sentence, second=say(f"verdict.model_poor{one}", poor=poor))


def of_plan(
    plan: PruningPlan, before: Size, after: Size, read: "tuple[Evaluation, Evaluation] | None"
) -> str:
    """Return one sentence about a cut: what it stores and, where it was read, what it costs."""
    share = after.parameters / before.parameters
    key = "plan_none" if plan.nothing else "plan"
    sentence = say(f"verdict.{key}", share=share, after=after.parameters, before=before.parameters)
    if read is None:
        return sentence
    return say("verdict.both", first=sentence, second=of_reading(*read))


def of_reading(whole: "Evaluation", cut: "Evaluation") -> str:
    """Return how a cut network reads the selection set, beside the whole one; of text the loss."""
    if cut.unit == "characters":
        return say(
            "verdict.plan_read_text",
            accuracy=cut.accuracy,
            loss=cut.loss,
            perplexity=cut.perplexity,
            whole=whole.accuracy,
            whole_loss=whole.loss,
            whole_perplexity=whole.perplexity,
            samples=cut.samples,
        )
    return say(
        "verdict.plan_read",
        accuracy=cut.accuracy,
        whole=whole.accuracy,
        samples=cut.samples,
        unit=say(f"unit.{cut.unit}"),
    )


def of_zones(layer: LayerAnalysis, curve: "Curve") -> str:
    """Return the three zones of a layer: like random, learnt, needed for the accuracy."""
    needed, samples, unit = curve.needed, curve.samples, say(f"unit.{curve.unit}")
    if layer.spikes is None:
        p = layer.spectrum.p
        return say("verdict.zone_needed", needed=needed, p=p, samples=samples, unit=unit)
    key = "zones" if needed <= layer.spikes else "zones_beyond"
    return say(
        f"verdict.{key}",
        random=layer.spectrum.p - layer.spikes,
        learnt=layer.spikes,
        needed=needed,
        samples=samples,
        unit=unit,
    )


def of_guessing(whole: "Evaluation") -> str:
    """Return that a network reads no better than guessing would; empty where it does."""
    if whole.accuracy > whole.commonest + 3 * whole.standard_error:
        return ""
    return say("verdict.guessing", commonest=whole.commonest)


def edge_is_weak(layer: LayerAnalysis) -> bool:
    """Return whether the layer's fit is too poor, or its cut too unstable, to trust the edge."""
    return layer.law in (None, Law.NO) or not layer.stable


def of_test(before: "Evaluation", after: "Evaluation", paired: "Paired") -> str:
    """Return what the test images say about a cut, with the paired interval."""
    key = "loss" if paired.high < 0 else "gain" if paired.low > 0 else "same"
    sentence = say(
        f"verdict.test_{key}",
        samples=after.samples,
        unit=say(f"unit.{after.unit}"),
        before=before.accuracy,
        after=after.accuracy,
        points=100 * paired.difference,
        low=100 * paired.low,
        high=100 * paired.high,
        right=paired.flipped_to_right,
        wrong=paired.flipped_to_wrong,
    )
    if after.unit != "characters":
        return sentence
    return f"{sentence} " + say(
        "verdict.test_text",
        before=before.loss,
        after=after.loss,
        before_perplexity=before.perplexity,
        after_perplexity=after.perplexity,
    )


def of_latency(before: "Latency", after: "Latency") -> str:
    """Return how long one answer takes before and after, measured side by side."""
    key = "faster" if after.high < before.low else "slower" if after.low > before.high else "same"
    return say(f"verdict.latency_{key}", before=1e6 * before.median, after=1e6 * after.median)
