"""What a run tells: where it is within an epoch, and what the network is after one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rmtviz.analysis import Analysis
from rmtviz.checkpoint import Checkpoint


class Stopped(Exception):
    """What `on_batch` may raise to end a run; `train` lets it (and anything else) through."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: the batch just done (`step` of `steps` in `epoch`, from 1) and its loss."""

    epoch: int
    step: int
    steps: int
    loss: float


@dataclass(frozen=True, slots=True, eq=False)
class EpochRecord:
    """The network after an epoch, number 0 being the one before the first step.

    `train_loss` (cross-entropy, natural logarithm) and `train_accuracy` are those of the
    first `MEASURED` training images with the epoch's last weights, `selection_accuracy` that
    of the selection set, of which `never_predicted` are the classes that no image was taken
    for; where labels are noisy, all are judged by the noisy ones.

    `parameters` counts stored weights and biases that are not zero; `ranks` are the layers'
    ranks as stored. `spikes` and `distances` (to the law, Kolmogorov's) are those of the
    latest look at the spectra, which was after epoch `looked`; `analysis` holds all that it
    saw, one spectrum a layer. `start` is, by layer, how much of what is not learnt is still
    the initialisation: the cosine between the bulk and W₀, as matrices.

    `seconds` is what the steps took, `spectra_seconds` what looking at spectra and cutting
    took beside. `cut` says what was cut after this epoch, if anything: all figures but its
    own are those after the cut, and `before` is what was seen before it (None for a record
    that comes from a folder).
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    selection_accuracy: float
    never_predicted: tuple[int, ...]
    parameters: int
    ranks: Mapping[str, int]
    looked: int
    spikes: Mapping[str, int | None]
    distances: Mapping[str, float | None]
    start: Mapping[str, float | None]
    seconds: float
    spectra_seconds: float
    cut: Mapping[str, Any] | None
    checkpoint: Checkpoint
    analysis: Analysis
    before: Analysis | None = None

    @property
    def spectra_share(self) -> float:
        """The share of the epoch's time that went into spectra and cuts, from 0 to 1."""
        whole = self.seconds + self.spectra_seconds
        return self.spectra_seconds / whole if whole else 0.0

    def row(self) -> dict[str, Any]:
        """Return all but the weights and the spectra, as plain values for JSON."""
        left_out = ("checkpoint", "analysis", "before")
        names = [name for name in self.__slots__ if name not in left_out]
        return {
            **{name: getattr(self, name) for name in names},
            "never_predicted": list(self.never_predicted),
            "spectra_share": self.spectra_share,
        }
