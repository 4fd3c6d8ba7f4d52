"""The models that visitors look at: shipped samples and, behind unguessable tokens, their own.

A model's weights live here and not in a visitor's session state, which outlives a closed
tab. The library is bounded in bytes, and forgets a model some minutes after the last tab
that showed it was closed.
"""

import functools
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rmtviz import analysis, attention, formats, layers
from rmtviz.analysis import Analysis
from rmtviz.checkpoint import Checkpoint
from rmtviz.decomposition import Spectra, decompose
from rmtviz.fits import Method
from rmtviz.heads import Heads
from rmtviz.site import home
from rmtviz.ui.memo import Memo

if TYPE_CHECKING:
    from rmtviz.live import Live

SAMPLES = ("clean", "noisy", "untrained", "language")
"""The shipped demo networks, by the name that stands in the URL."""

INITIALS: Mapping[str, str] = {
    "clean": "untrained",
    "noisy": "noisy.initial",
    "language": "language.initial",
}
"""Which shipped file holds a sample's weights before training."""

EQUALISED = 2e10
"""Up to this sum of p² n over the layers an uploaded model's layers are equalised as well."""

VIEWS = ("weights", "learnt", "initial")
"""What of a model is looked at: its weights W, what training changed (W − W₀), or W₀."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model that can be looked at: its key in the URL, its title, its spectra, its weights.

    `copies` are the names of the copies of the weights in its file, the one taken first.
    `live` is the module in its owner's process with what judges it, where there is one.
    """

    key: str
    title: str
    spectra: Spectra
    load: Callable[[], Checkpoint]
    load_initial: Callable[[], Checkpoint] | None = None
    copies: tuple[str, ...] = ()
    live: "Live | None" = None
    memo: Memo = field(default_factory=Memo)

    @property
    def digest(self) -> str:
        """The digest of the weights."""
        return self.spectra.model.digest

    @property
    def checkpoint(self) -> Checkpoint:
        """The weights, read from the file when first asked for."""
        return self.memo("checkpoint", self.load)

    @property
    def initial(self) -> Checkpoint | None:
        """The weights before training, where they are known."""
        return self.memo("initial", self.load_initial) if self.load_initial else None

    @property
    def has_initial(self) -> bool:
        """Whether the weights before training are known."""
        return self.load_initial is not None

    def view(self, name: str) -> Spectra:
        """Return the spectra of a view, one of `VIEWS`; those of the weights come at once."""
        if name == "weights" or self.load_initial is None:
            return self.spectra
        return self.memo(("view", name), lambda: decompose(self.weights(name), equalise=True))

    def weights(self, view: str) -> Checkpoint:
        """Return what of the weights a view shows."""
        start = self.initial
        if view == "weights" or start is None:
            return self.checkpoint
        return start if view == "initial" else self.checkpoint.minus(start)

    def by_heads(self, count: int | None = None) -> "Model":
        """Return the model with each attention head as a layer of its own.

        Raises:
            BadOption: as `attention.by_heads`.
        """

        def make() -> Model:
            seen = attention.by_heads(self.checkpoint, count)
            told = Heads.recorded(seen.about)
            assert told is not None
            known, first = (told.count, told.shared), self.load_initial
            return replace(
                self,
                spectra=decompose(seen, equalise=_affordable(seen), known=self.spectra.layers),
                load=lambda: seen,
                load_initial=(lambda: attention.by_heads(first(), *known)) if first else None,
                live=replace(self.live, heads=told.count) if self.live else None,
                memo=Memo(),
            )

        return self.memo(("heads", count), make)

    def analysed(self, method: Method, view: str = "weights") -> Analysis:
        """Return the fits of the model's layers by a method."""

        def make() -> Analysis:
            weights = self.weights(view) if method.needs_matrix else None
            return analysis.fit(self.view(view), method, weights)

        return self.memo(("analysed", method, view), make)


class Library:
    """The visitors' own models by token; thread-safe, bounded in bytes, forgetful.

    `hold` and `release` count the tabs that show a model; one that no tab shows is
    forgotten after `keep` seconds.
    """

    def __init__(self, limit: int = 2**30, keep: float = 300.0) -> None:
        self._limit = limit
        self._keep = keep
        self._lock = threading.Lock()
        self._models: dict[str, Model] = {}
        self._seen: dict[str, float] = {}
        self._tabs: dict[str, int] = {}

    def add(
        self,
        checkpoint: Checkpoint,
        progress: Callable[[int, int], None] | None = None,
        live: "Live | None" = None,
    ) -> Model:
        """Decompose a checkpoint and keep both; return the model with its new token."""
        spectra = decompose(checkpoint, progress, equalise=_affordable(checkpoint))
        key = secrets.token_urlsafe(12)
        copies = (checkpoint.copy, *checkpoint.copies)
        model = Model(key, checkpoint.title, spectra, lambda: checkpoint, copies=copies, live=live)
        with self._lock:
            self._models[key] = model
            self._seen[key] = time.monotonic()
        self.sweep()
        return model

    def get(self, key: str) -> Model | None:
        """Return a model by its token, or None if it was forgotten or never was."""
        with self._lock:
            if key in self._models:
                self._seen[key] = time.monotonic()
            return self._models.get(key)

    def hold(self, key: str) -> None:
        """Count one tab more that shows this model."""
        with self._lock:
            self._tabs[key] = self._tabs.get(key, 0) + 1

    def release(self, key: str) -> None:
        """Count one tab less that shows this model."""
        with self._lock:
            self._tabs[key] = self._tabs.get(key, 0) - 1
            if self._tabs[key] <= 0:
                del self._tabs[key]
            if key in self._models:
                self._seen[key] = time.monotonic()

    def drop(self, key: str) -> None:
        """Forget a model at once."""
        with self._lock:
            self._models.pop(key, None)
            self._seen.pop(key, None)
            self._tabs.pop(key, None)

    def __len__(self) -> int:
        return len(self._models)

    def sweep(self) -> None:
        """Forget what no tab shows any more, and the longest unseen while there is too much."""
        with self._lock:
            now = time.monotonic()
            by_age = sorted(self._models, key=lambda key: self._seen[key])
            size = sum(model.spectra.model.bytes for model in self._models.values())
            for key in by_age:
                left = key not in self._tabs and now - self._seen[key] > self._keep
                if left or (size > self._limit and key != by_age[-1]):
                    size -= self._models.pop(key).spectra.model.bytes
                    del self._seen[key]


def _affordable(checkpoint: Checkpoint) -> bool:
    """Return whether equalising all layers takes a few seconds at most."""
    shapes = [layer.shape for layer in layers.find(checkpoint)[0]]
    return sum(min(shape) ** 2 * max(shape) for shape in shapes) <= EQUALISED


@functools.cache
def sample(name: str) -> Model:
    """Return a shipped model; its spectra come precomputed, its weights when asked for."""
    folder = home() / "assets" / "models"
    spectra = Spectra.from_dict(json.loads((folder / f"{name}.spectra.json").read_text("utf-8")))

    def load(file: str) -> Callable[[], Checkpoint]:
        return lambda: formats.read(folder / f"{file}.safetensors")

    initial = INITIALS.get(name)
    return Model(name, name, spectra, load(name), load(initial) if initial else None)
