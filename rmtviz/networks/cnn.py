"""How a plain convolutional network runs, which its weights leave open: found on images.

Of all layouts that fit, `detect` takes the one that reads the selection images best, with the
activation and the scaling of the inputs; or it asks, where two layouts read them alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rmtviz.checkpoint import Checkpoint
from rmtviz.datasets import Dataset
from rmtviz.errors import CannotRun
from rmtviz.networks._choosing import SLACK, TIE, best, losses, recorded, score, surely
from rmtviz.networks._convolutions import CNN, ImageNetwork, form, layouts
from rmtviz.networks.base import ACTIVATIONS, INPUTS

__all__ = ["CNN", "detect", "layouts"]

ROUNDS = ((32, 6, 16), (128, 3, 8), (400, 3, 4), (1_000, 3, 4))
"""Images that the choices are tried on, how many layouts go on to the next round, and with how
many activations and scalings of the inputs each."""

MOST = 64
"""More layouts that fit than these are not tried: somebody must say which it is."""


def detect(
    checkpoint: Checkpoint,
    dataset: Dataset,
    foreign: bool = True,
    *,
    activation: str | None = None,
    inputs: str | None = None,
    layout: str | None = None,
) -> CNN:
    """Return the layout, activation and inputs with which the weights read images best.

    What is given is kept, then what the checkpoint's record says (key "network"); the rest is
    tried out in `ROUNDS`, on more and more of the selection images. Layouts that read about
    as many right as the best are told from it by the loss on all selection images, paired.

    Raises:
        DataRefused: the dataset's images or classes do not fit the network.
        CannotRun: no layout fits, too many do, two read the images alike, or none reads them.
        BadOption: as `CNN`.
    """
    sides = dataset.image_shape
    image = (sides[0], sides[1], sides[2]) if len(sides) == 3 else (1, sides[0], sides[1])
    forms = recorded(checkpoint, layout, "layout", layouts(checkpoint, image))
    if not 0 < len(forms) <= MOST:
        key = "layout_none" if not forms else "layout_many"
        raise CannotRun(key, image=form(image), count=len(forms))
    choices = [
        CNN(words, word, way, image, dataset.mean, dataset.std, dataset.top)
        for words in forms
        for word in recorded(checkpoint, activation, "activation", list(ACTIVATIONS))
        for way in recorded(checkpoint, inputs, "inputs", list(INPUTS))
    ]
    choices[0](checkpoint).check(dataset)
    if len(choices) == 1:
        return choices[0]
    samples = dataset.split("selection", foreign=foreign)
    for count, forms_kept, ways_kept in ROUNDS:
        some = samples.first(count)
        scores = dict(_scores(checkpoint, choices, some))
        right = max(found for found, _ in scores.values())
        if right * dataset.outputs < 2 * len(some):
            raise CannotRun("layout_poor", share=right / len(some), samples=len(some))
        choices = _foremost(scores, forms_kept, ways_kept)
    chosen = _plainest(best(scores, SLACK), scores)
    right = scores[chosen][0]
    rivals = {choice.layout: choice for choice in reversed(choices) if _near(scores[choice], right)}
    rivals.pop(chosen.layout, None)
    own = losses(chosen(checkpoint), samples) if rivals else None
    alike = [
        layout
        for layout, rival in rivals.items()
        if own is not None and not surely(own, losses(rival(checkpoint), samples))
    ]
    if alike:
        names = " ".join(sorted([chosen.layout, *alike]))
        raise CannotRun("layout_alike", layouts=names, samples=len(samples))
    return chosen


def _foremost(scores: Mapping[CNN, tuple[int, float]], forms: int, ways: int) -> list[CNN]:
    """Return the best choices: of so many layouts, each with so many ways to run it."""
    by_layout: dict[str, list[CNN]] = {}
    for choice in sorted(scores, key=lambda choice: (-scores[choice][0], scores[choice][1])):
        by_layout.setdefault(choice.layout, []).append(choice)
    return [choice for some in list(by_layout.values())[:forms] for choice in some[:ways]]


def _plainest(chosen: CNN, scores: Mapping[CNN, tuple[int, float]]) -> CNN:
    """Return the first activation of the table that does about as well, all else equal."""
    right, loss = scores[chosen]
    for word in ACTIVATIONS:
        other = replace(chosen, activation=word)
        if other in scores and scores[other][1] <= TIE * loss and _near(scores[other], right):
            return other
    return chosen


def _near(found: tuple[int, float], right: int) -> bool:
    """Return whether so few are read less right that it makes no difference."""
    return found[0] >= right - SLACK


def _scores(
    checkpoint: Checkpoint, choices: Sequence[CNN], samples: Any
) -> Iterator[tuple[CNN, tuple[int, float]]]:
    """Yield each choice with what it makes of the samples; a network is made once a layout."""
    made: dict[tuple[str, str], ImageNetwork] = {}
    for choice in choices:
        key = choice.layout, choice.activation
        network = made.get(key) or choice(checkpoint)
        made[key] = network
        centre, scale = INPUTS[choice.inputs](choice.mean, choice.std, choice.top)
        yield choice, score(replace(network, centre=centre, scale=scale), samples)
