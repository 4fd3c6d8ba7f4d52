"""The library: unguessable tokens, bounded in bytes, forgetful once no tab shows a model."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from rmtviz import decomposition
from rmtviz.checkpoint import Checkpoint
from rmtviz.fits import BEMA, KritchmanNadler
from rmtviz.ui import library as module
from rmtviz.ui.library import INITIALS, SAMPLES, VIEWS, Library, sample


class Clock:
    """A clock that stands still until it is told to go on."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=made.monotonic))
    return made


def checkpoint(seed: int = 0, side: int = 30) -> Checkpoint:
    weight = np.random.default_rng(seed).standard_normal((side, side)).astype(np.float32)
    return Checkpoint.of({"fc.weight": weight}, source=f"net-{seed}.npz")


def test_a_model_is_found_by_its_token(clock):
    library = Library()
    made = checkpoint()
    model = library.add(made)
    assert library.get(model.key) is model
    assert (model.title, model.digest, model.checkpoint) == ("net-0.npz", made.digest, made)


def test_tokens_are_long_and_unlike_each_other(clock):
    library = Library()
    keys = {library.add(checkpoint()).key for _ in range(5)}
    assert len(keys) == 5
    assert all(re.fullmatch(r"[\w-]{16}", key) for key in keys)


@pytest.mark.parametrize("key", ["", "clean", "../x", "run-x"])
def test_an_unknown_token_is_none(key):
    assert Library().get(key) is None


def test_progress_counts_to_the_end(clock):
    seen = []
    Library().add(checkpoint(), progress=lambda done, of: seen.append((done, of)))
    assert seen[-1] == (900, 900)


def test_an_unseen_model_is_forgotten_after_a_while(clock):
    library = Library(keep=300)
    model = library.add(checkpoint())
    clock.now = 299
    library.sweep()
    assert len(library) == 1
    clock.now = 301
    library.sweep()
    assert library.get(model.key) is None
    assert len(library) == 0


def test_looking_at_it_keeps_it(clock):
    library = Library(keep=300)
    model = library.add(checkpoint())
    for clock.now in (200, 400, 600):
        library.sweep()
        assert library.get(model.key) is model


def test_a_tab_that_shows_it_keeps_it_however_long(clock):
    library = Library(keep=300)
    model = library.add(checkpoint())
    library.hold(model.key)
    library.hold(model.key)
    clock.now = 10_000
    library.sweep()
    library.release(model.key)
    clock.now = 20_000
    library.sweep()
    assert len(library) == 1
    library.release(model.key)
    library.sweep()
    assert len(library) == 1
    clock.now = 20_301
    library.sweep()
    assert len(library) == 0


def test_it_is_bounded_in_bytes_and_the_longest_unseen_goes_first(clock):
    size = checkpoint().bytes
    library = Library(limit=3 * size)
    keys = []
    for clock.now in range(5):
        keys.append(library.add(checkpoint(int(clock.now))).key)
        library.get(keys[0])
        assert len(library) <= 3
    kept = [key for key in keys if library.get(key)]
    assert kept == [keys[0], keys[3], keys[4]]


def test_one_model_larger_than_the_limit_is_still_shown(clock):
    library = Library(limit=10)
    model = library.add(checkpoint())
    library.sweep()
    assert library.get(model.key) is model


def test_releasing_what_is_gone_leaves_nothing_behind(clock):
    library = Library(limit=checkpoint().bytes)
    keys = [library.add(checkpoint(seed)).key for seed in range(3)]
    for key in (*keys, "never-was"):
        library.hold(key)
        library.release(key)
    assert len(library) == 1
    assert not library._tabs
    assert set(library._seen) == {keys[-1]}


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_spectra_are_those_of_their_weights(name):
    model = sample(name)
    assert model.digest == model.checkpoint.digest
    assert model.has_initial is (name in INITIALS)


def test_views_are_weights_what_training_changed_and_the_beginning():
    model = sample("noisy")
    assert model.view("weights") is model.spectra
    for name in VIEWS[1:]:
        assert model.view(name) is model.view(name)
    start = model.view("initial").layers[0].spectrum.values
    expected = decomposition.decompose(model.initial).layers[0].spectrum.values
    np.testing.assert_array_equal(start, expected)


def test_analyses_are_kept_by_method_and_view():
    model = sample("noisy")
    assert model.analysed(BEMA()) is model.analysed(BEMA())
    assert model.analysed(BEMA()) is not model.analysed(BEMA(alpha=0.3))
    assert model.analysed(BEMA()) is not model.analysed(KritchmanNadler())
    assert model.analysed(BEMA(), "learnt") is not model.analysed(BEMA())
