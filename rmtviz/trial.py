"""One deliberate look at the test images: before, after, and three controls.

The controls say what the spikes carry: they alone, the bulk alone, another bulk. Each is a
checkpoint in which every cut layer W = learnt + bulk is replaced by its learnt part (the
singular directions that the plan keeps, as it keeps them), by its bulk alone, or by the
learnt part plus fresh Gaussian noise of the bulk's size.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rmtviz import evaluation, layers, pruning
from rmtviz.checkpoint import Checkpoint, Tensor, double
from rmtviz.datasets import Samples
from rmtviz.evaluation import Evaluation, Latency, Paired
from rmtviz.networks import Choice
from rmtviz.pruning import Factors, PruningPlan

CONTROLS = ("learnt", "bulk", "fresh")
"""The controls by name: the learnt part, the bulk, the learnt part with a fresh bulk."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """A plan on test images: accuracy before and after, the flips, the latencies, the controls.

    `latency` is that of one image on one thread, by "before" and "after"; `controls` are
    evaluations by the names in `CONTROLS`.
    """

    before: Evaluation
    after: Evaluation
    paired: Paired
    latency: Mapping[str, Latency]
    controls: Mapping[str, Evaluation]


def run(
    checkpoint: Checkpoint,
    plan: PruningPlan,
    choice: Choice,
    samples: Samples,
    known: Mapping[str, Factors] | None = None,
) -> Trial:
    """Return what a plan does to a network, run by a choice, on these samples.

    Raises:
        PlanRefused: the plan is not of this checkpoint.
        CannotRun, DataRefused: the network cannot be run on these samples.
    """
    networks = {
        "before": choice(checkpoint),
        "after": choice(pruning.apply(checkpoint, plan, known)),
    }
    before, after = (evaluation.evaluate(network, samples) for network in networks.values())
    return Trial(
        before,
        after,
        evaluation.compare(before, after, samples.labels),
        evaluation.latencies(networks, samples.images, 1),
        {
            name: evaluation.evaluate(choice(each), samples)
            for name, each in controls(checkpoint, plan, known).items()
        },
    )


def controls(
    checkpoint: Checkpoint,
    plan: PruningPlan,
    known: Mapping[str, Factors] | None = None,
    seed: int = 0,
) -> Mapping[str, Checkpoint]:
    """Return the three checkpoints, by name; layers that the plan leaves whole are untouched.

    A cut layer is one matrix in them, also where it is stored as a pair.

    Raises:
        PlanRefused: the plan is not of this checkpoint.
    """
    dense = [cut if cut.form == "whole" else replace(cut, form="dense") for cut in plan.cuts]
    learnt = pruning.apply(checkpoint, replace(plan, cuts=tuple(dense)), known)
    whole = {layer.name: layer for layer in layers.find(checkpoint)[0]}
    stored = {layer.name: layer for layer in layers.find(learnt)[0]}
    rng = np.random.default_rng(seed)
    made: dict[str, dict[str, Tensor]] = {name: dict(learnt.tensors) for name in CONTROLS}
    for cut in plan.cuts:
        if cut.form == "whole":
            continue
        parts = (known or {}).get(cut.name) or pruning.factors(checkpoint, whole[cut.name])
        kept = parts.truncated(cut.rank_after, None, cut.kept)
        bulk = double(whole[cut.name].matrix(checkpoint)) - kept
        planned = parts.truncated(cut.rank_after, cut.values, cut.kept)
        noise = rng.standard_normal(bulk.shape)
        noise = noise + 1j * rng.standard_normal(bulk.shape) if np.iscomplexobj(bulk) else noise
        noise *= np.linalg.norm(bulk) / np.linalg.norm(noise)
        layer = stored[cut.name]
        for control, matrix in (("bulk", bulk), ("fresh", planned + noise)):
            for name in (*layer.tensors, *layer.twins):
                made[control][name] = layer.holding(made[control][name], matrix)
    return {name: replace(learnt, tensors=tensors) for name, tensors in made.items()}
