"""Spectra on disk: the same as computed, found by digest, never trusted when broken."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from rmtviz import analysis, cache, decomposition
from rmtviz.checkpoint import Checkpoint


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RMTVIZ_HOME", str(tmp_path))
    return tmp_path / "spectra"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each decomposition so far was one with `equalise`."""
    seen: list[bool] = []

    def noted(*arguments: object, **options: bool) -> decomposition.Spectra:
        seen.append(options["equalise"])
        return decomposition.decompose(*arguments, **options)

    monkeypatch.setattr(cache, "decompose", noted)
    return seen


def checkpoint(seed: int = 0, source: str = "model", **about: object) -> Checkpoint:
    rng = np.random.default_rng(seed)
    broken = np.full((30, 30), np.nan, np.float32)
    tensors = {
        "0.weight": rng.normal(size=(40, 60)).astype(np.float32),
        "0.bias": np.zeros(40, np.float32),
        "1.weight": rng.normal(size=(25, 40)).astype(np.float16),
        "2.weight": broken,
    }
    made = Checkpoint.of(tensors, source=source)
    return made.with_about(**about) if about else made


def stored(home: Path) -> list[Path]:
    return sorted(home.glob("*/*"))


@pytest.mark.parametrize("equalise", [False, True])
def test_what_is_remembered_is_what_is_computed(computed: list[bool], equalise: bool) -> None:
    fresh = decomposition.decompose(checkpoint(), equalise=equalise).to_dict()
    for _ in range(2):
        assert cache.remembered(checkpoint(), equalise=equalise).to_dict() == fresh
    assert computed == [equalise]


def test_nothing_is_kept_unless_asked_for(home: Path) -> None:
    analysis.analyze(checkpoint())
    assert not home.exists()
    kept = analysis.analyze(checkpoint(), cache=True)
    assert len(stored(home)) == 1
    again = analysis.analyze(checkpoint(), cache=True).to_dict()
    assert again == kept.to_dict() == analysis.analyze(checkpoint()).to_dict()


def test_equalised_spectra_are_computed_when_first_asked_for(computed: list[bool]) -> None:
    plain = decomposition.decompose(checkpoint()).to_dict()
    for equalise in (False, True, True, False):
        found = cache.remembered(checkpoint(), equalise=equalise)
        assert (found.layers[0].equalised is not None) is equalise
    assert computed == [False, True]
    assert found.to_dict() == plain


def test_it_is_found_under_another_name_but_not_with_other_weights(computed: list[bool]) -> None:
    cache.remembered(checkpoint())
    assert cache.remembered(checkpoint(source="copy")).model.source == "copy"
    assert len(computed) == 1
    cache.remembered(checkpoint(seed=1))
    assert len(computed) == 2


def test_what_a_tensor_is_said_to_be_counts(computed: list[bool]) -> None:
    cache.remembered(checkpoint())
    told = checkpoint(kinds={"1.weight": "embedding"})
    found = cache.remembered(told)
    assert found.to_dict() == decomposition.decompose(told).to_dict()
    assert len(computed) == 2


def test_another_threshold_of_exact_work_counts(
    computed: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.remembered(checkpoint())
    monkeypatch.setattr(decomposition, "EXACT", 30)
    assert cache.remembered(checkpoint()).layers[0].spectrum.estimated > 0
    assert len(computed) == 2


BROKEN = {
    "empty": lambda text: "",
    "cut": lambda text: text[: len(text) // 2],
    "no JSON": lambda text: "\x00" + text,
    "a list": lambda text: "[]",
    "other format": lambda text: text.replace('"format": 1', '"format": 2', 1),
    "no format": lambda text: text.replace('"format": 1', '"other": 1', 1),
    "a layer missing": lambda text: json.dumps(_without_layer(json.loads(text))),
    "values not descending": lambda text: text.replace('"singular_values": [', "&[0.0, ", 1),
    "no spectra": lambda text: text.replace('"spectra"', '"others"', 1),
    "no numbers": lambda text: text.replace('"singular_values": [', '"singular_values": ["x", ', 1),
}


def _without_layer(record: dict) -> dict:
    del record["spectra"]["layers"][0]
    return record


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_file_is_computed_and_written_again(
    home: Path, computed: list[bool], how: str
) -> None:
    fresh = cache.remembered(checkpoint()).to_dict()
    (file,) = stored(home)
    whole = file.read_text("utf-8")
    broken = BROKEN[how](whole)
    assert broken != whole
    file.write_text(broken, "utf-8")
    assert cache.remembered(checkpoint()).to_dict() == fresh
    assert len(computed) == 2
    assert stored(home) == [file]
    assert file.read_text("utf-8") == whole


def test_the_longest_unused_goes_first(
    home: Path, computed: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "KEPT", 2)
    for seed in (0, 1):
        cache.remembered(checkpoint(seed))
        for folder in home.iterdir():  # so that the order does not hang on the clock's grain
            os.utime(folder, (folder.stat().st_mtime - 100,) * 2)
    cache.remembered(checkpoint(0))
    cache.remembered(checkpoint(2))
    assert len(stored(home)) == 2
    cache.remembered(checkpoint(0))
    assert len(computed) == 3
    cache.remembered(checkpoint(1))
    assert len(computed) == 4


def test_a_disk_that_cannot_be_written_to_is_no_error(home: Path) -> None:
    home.parent.mkdir(exist_ok=True)
    home.write_text("a file where the folder should be")
    fresh = decomposition.decompose(checkpoint()).to_dict()
    assert cache.remembered(checkpoint()).to_dict() == fresh


def test_a_write_that_fails_leaves_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(json, "dump", full)
    assert cache.remembered(checkpoint()).layers
    assert stored(home) == []
