"""The models that visitors look at: shipped samples and, behind unguessable tokens, their own.

A model's weights live here and not in a visitor's session state, which outlives a closed
tab. The library is bounded in bytes and forgets what nobody has looked at for a while.
"""

import functools
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rmtviz import analysis, formats
from rmtviz.analysis import Spectra
from rmtviz.checkpoint import Checkpoint
from rmtviz.site import home

SAMPLES = ("clean", "noisy", "untrained")
"""The shipped demo networks, by the name that stands in the URL."""

INITIALS: Mapping[str, str] = {"clean": "untrained", "noisy": "noisy.initial"}
"""Which shipped file holds a sample's weights before training."""


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model that can be looked at: its key in the URL, its title, its spectra, its weights."""

    key: str
    title: str
    spectra: Spectra
    load: Callable[[], Checkpoint]
    load_initial: Callable[[], Checkpoint | None]

    @property
    def checkpoint(self) -> Checkpoint:
        """The weights, read from the file when first asked for."""
        return self.load()

    @property
    def initial(self) -> Checkpoint | None:
        """The weights before training, where they are known."""
        return self.load_initial()


class Library:
    """The visitors' own models by token; thread-safe, bounded, forgetful."""

    def __init__(self, limit: int = 2**30, keep: float = 4 * 3600) -> None:
        self._limit = limit
        self._keep = keep
        self._lock = threading.Lock()
        self._models: dict[str, tuple[float, Model]] = {}

    def add(
        self,
        checkpoint: Checkpoint,
        initial: Checkpoint | None = None,
        title: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Model:
        """Decompose a checkpoint and keep both; return the model with its new token."""
        spectra = analysis.decompose(checkpoint, progress)
        model = Model(
            secrets.token_urlsafe(12),
            title or checkpoint.source,
            spectra,
            lambda: checkpoint,
            lambda: initial,
        )
        with self._lock:
            self._models[model.key] = (time.monotonic(), model)
            self._sweep()
        return model

    def get(self, key: str) -> Model | None:
        """Return a model by its token, or None if it was forgotten or never was."""
        with self._lock:
            self._sweep()
            entry = self._models.pop(key, None)
            if entry is None:
                return None
            self._models[key] = (time.monotonic(), entry[1])
            return entry[1]

    def __len__(self) -> int:
        return len(self._models)

    def _sweep(self) -> None:
        """Forget the longest unseen models until time and size are within their bounds."""
        oldest = time.monotonic() - self._keep
        size = sum(model.spectra.model.bytes for _, model in self._models.values())
        for key, (seen, model) in list(self._models.items()):
            if seen >= oldest and (size <= self._limit or len(self._models) == 1):
                break
            del self._models[key]
            size -= model.spectra.model.bytes


@functools.cache
def sample(name: str) -> Model:
    """Return a shipped model; its spectra come precomputed, its weights when asked for."""
    folder = home() / "assets" / "models"
    spectra = Spectra.from_dict(json.loads((folder / f"{name}.spectra.json").read_text("utf-8")))

    @functools.cache
    def load() -> Checkpoint:
        return formats.read(folder / f"{name}.safetensors")

    @functools.cache
    def load_initial() -> Checkpoint | None:
        initial = INITIALS.get(name)
        return formats.read(folder / f"{initial}.safetensors") if initial else None

    return Model(name, name, spectra, load, load_initial)
