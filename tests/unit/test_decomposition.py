"""Many layers at once: within the budget of memory, read one by one, in their own order."""

import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rmtviz import decomposition, layers
from rmtviz.checkpoint import Checkpoint, Tensor
from rmtviz.parallel import Room
from rmtviz.spectrum import Spectrum


def watched(shapes: dict[str, tuple[int, int]], told: Callable[[str], Any]) -> Checkpoint:
    """A checkpoint whose tensors tell their name when they are read."""

    def load(name: str) -> np.ndarray:
        told(name)
        seed = sum(map(ord, name))
        return np.random.default_rng(seed).normal(size=shapes[name]).astype(np.float32)

    made = {
        name: Tensor(shape, np.dtype(np.float32), lambda name=name: load(name))
        for name, shape in shapes.items()
    }
    return Checkpoint(made)


def test_room_is_never_overdrawn_and_a_giant_goes_alone() -> None:
    room, lock = Room(100), threading.Lock()
    inside: list[int] = []
    seen: list[tuple[int, ...]] = []

    def task(count: int) -> None:
        with room.take(count):
            with lock:
                inside.append(count)
                seen.append(tuple(inside))
            threading.Event().wait(0.002)
            with lock:
                inside.remove(count)

    counts = [60, 50, 40, 500, 30, 30, 30, 100, 1] * 4
    threads = [threading.Thread(target=task, args=(count,)) for count in counts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(seen) == len(counts)
    assert all(sum(each) <= 100 or each == (500,) for each in seen)


def test_room_is_given_back_after_an_error() -> None:
    room = Room(10)
    with pytest.raises(ZeroDivisionError), room.take(10):
        _ = 1 / 0
    with room.take(10):
        pass


def test_no_budget_changes_the_result_or_the_order() -> None:
    shapes = {"0.weight": (30, 40), "1.weight": (80, 30), "2.weight": (20, 80)}
    checkpoint = watched(shapes, lambda name: None)
    found, _ = layers.find(checkpoint)
    for memory in (1, decomposition.MEMORY):
        spectra = decomposition.decompose(checkpoint, memory=memory)
        assert [item.layer for item in spectra.layers] == list(found)
        for item in spectra.layers:
            expected = Spectrum.of(item.layer.matrix(checkpoint)).values
            assert item.spectrum.values.tolist() == expected.tolist()


def test_a_layer_is_read_when_its_turn_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decomposition, "_digest", lambda checkpoint, room: "")
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    events: list[str] = []
    shapes = {"0.weight": (10, 20), "1.weight": (50, 60), "2.weight": (30, 40)}
    checkpoint = watched(shapes, lambda name: events.append(f"read {name}"))
    original = decomposition.Gram.spectrum

    def spectrum(gram: decomposition.Gram) -> Spectrum | None:
        events.append(f"solve {gram.shape}")
        return original(gram)

    monkeypatch.setattr(decomposition.Gram, "spectrum", spectrum)
    decomposition.decompose(checkpoint)
    assert events[:6] == [
        *("read 1.weight", "solve (50, 60)"),  # the largest first
        *("read 2.weight", "solve (30, 40)"),
        *("read 0.weight", "solve (10, 20)"),
    ]


def test_what_a_layer_takes_does_not_grow_with_the_model() -> None:
    shapes = {f"{i}.weight": (100, 200) for i in range(50)}
    checkpoint = watched(shapes, lambda name: None)
    layer = layers.find(checkpoint)[0][0]
    stored, gram, block = 4 * 100 * 200, 8 * 100 * 100, 8 * 2**20
    assert decomposition.gram_bytes(layer, checkpoint) == stored + 2 * gram + block
    assert decomposition.svd_bytes(layer, checkpoint) == stored + 2 * 8 * 100 * 200


def test_an_error_while_reading_is_the_callers() -> None:
    def refuse(name: str) -> None:
        raise OSError(name)

    checkpoint = watched({"0.weight": (30, 40)}, refuse)
    with pytest.raises(OSError, match=r"0\.weight"):
        decomposition.decompose(checkpoint)


def test_a_layer_beyond_the_exact_size_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decomposition, "EXACT", 199)
    shapes = {"0.weight": (30, 40), "1.weight": (200, 300), "2.weight": (199, 300)}
    checkpoint = watched(shapes, lambda name: None)
    spectra = decomposition.decompose(checkpoint, equalise=True)
    assert [item.spectrum.estimated > 0 for item in spectra.layers] == [False, True, False]
    assert [item.equalised is None for item in spectra.layers] == [False, True, False]
    assert all(item.entries for item in spectra.layers)
    again = decomposition.Spectra.from_dict(json.loads(json.dumps(spectra.to_dict())))
    for one, other in zip(again.layers, spectra.layers, strict=True):
        assert one.spectrum.estimated == other.spectrum.estimated
        assert one.spectrum.values.tolist() == other.spectrum.values.tolist()


def test_spectra_of_before_there_were_estimates_are_exact() -> None:
    record = decomposition.decompose(watched({"w": (30, 40)}, lambda name: None)).to_dict()
    del record["layers"][0]["estimated"]
    assert decomposition.Spectra.from_dict(record).layers[0].spectrum.estimated == 0


def test_a_broken_layer_beyond_the_exact_size_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decomposition, "EXACT", 20)
    spectra = decomposition.decompose(Checkpoint.of({"w": np.full((30, 40), np.nan, np.float32)}))
    assert not spectra.layers
    assert [item.reason for item in spectra.skipped] == ["not_finite"]


def test_an_estimate_takes_less_room_than_the_exact_work() -> None:
    layer = layers.find(watched({"w": (9000, 20000)}, lambda name: None))[0][0]
    checkpoint = watched({"w": (9000, 20000)}, lambda name: None)
    stored, room = 4 * 9000 * 20000, decomposition.estimate_bytes(layer, checkpoint)
    assert room < decomposition.gram_bytes(layer, checkpoint)
    assert room - stored < stored  # no copy in float64, which would be twice as much
