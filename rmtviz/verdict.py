"""Results as sentences: what a fit means for somebody who must decide."""

from rmtviz.analysis import Analysis, LayerAnalysis
from rmtviz.fits import Law, Status
from rmtviz.words import say


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
    return say(f"law.{layer.law}", ks=layer.ks)


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
        return say("verdict.model_unfitted", layers=len(analysis.layers))
    directions = sum(layer.spectrum.p for layer in fitted)
    bulk = directions - sum(layer.spikes or 0 for layer in fitted)
    poor = sum(layer.law is Law.NO or layer.stable is False for layer in fitted)
    sentence = say(
        "verdict.model",
        layers=len(fitted),
        of=len(analysis.layers),
        bulk=bulk,
        directions=directions,
        share=bulk / directions,
    )
    return f"{sentence} {say('verdict.model_poor', poor=poor)}" if poor else sentence
