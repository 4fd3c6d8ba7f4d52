"""`analyze`: what it takes, what it says of each layer, what it leaves out and why."""

import json
import math
from dataclasses import replace

import ml_dtypes
import numpy as np
import pandas
import pytest
import safetensors.numpy
import torch
from torch import nn

import rmtviz
from rmtviz import analysis, decomposition, tracy_widom
from rmtviz.analysis import STABLE, LayerAnalysis
from rmtviz.checkpoint import Checkpoint
from rmtviz.errors import BadOption, FileRefused
from rmtviz.fits import BEMA, METHODS, KritchmanNadler, Law, MPFit, Status
from rmtviz.layers import Layer
from rmtviz.spectrum import Spectrum

MODEL_KEYS = {"source", "digest", "format", "parameters", "bytes"}
LAYER_KEYS = {
    "name",
    "kind",
    "shape",
    "parameters",
    "sigma",
    "bulk_edge",
    "cut",
    "scaled",
    "spikes",
    "ks",
    "law",
    "stable",
    "status",
    "bulk_directions",
    "bulk_energy",
}
SKIPPED_KEYS = {"name", "shape", "dtype", "reason"}
"""What `--json` promises; keys may be added, never taken away."""


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """Two hidden layers of noise with planted spikes, a small last one, and what is no layer."""
    rng = np.random.default_rng(7)
    first, second = rng.normal(size=(60, 100)), rng.normal(size=(40, 60))
    first[0] += 6.0
    second[[0, 1, 2], [0, 1, 2]] += 60.0
    return {
        "net.0.weight": (0.1 * first).astype(np.float32),
        "net.0.bias": np.zeros(60, np.float32),
        "net.2.weight": (0.2 * second).astype(np.float32),
        "net.4.weight": rng.normal(size=(10, 40)).astype(np.float32),
        "steps": np.arange(3),
    }


@pytest.fixture(scope="module")
def result(arrays) -> analysis.Analysis:
    return rmtviz.analyze(arrays)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(80, 50), nn.ReLU(), nn.Linear(50, 30), nn.ReLU())


def layer_with(ranks: dict[str, int | None], spikes: int | None = 3) -> LayerAnalysis:
    """A fitted layer whose methods found these ranks."""
    spectrum = Spectrum.gaussian((30, 40), np.random.default_rng(1))
    fit = BEMA()(spectrum) if spikes is not None else MPFit(BEMA(), Status.NO_BULK)
    return LayerAnalysis(Layer("a", "linear", ("a",), (30, 40)), 1200, spectrum, fit, ranks)


def test_a_network_a_state_a_mapping_and_a_checkpoint_give_the_same(network: nn.Module) -> None:
    state = network.state_dict()
    plain = {name: tensor.numpy() for name, tensor in state.items()}
    records = [
        rmtviz.analyze(model).to_dict() for model in (network, state, plain, Checkpoint.of(plain))
    ]
    assert records[0]["model"].pop("source") == "Sequential"
    assert {record["model"].pop("source", "arrays") for record in records[1:]} == {"arrays"}
    assert records[1:] == [records[0]] * 3
    assert [layer["shape"] for layer in records[0]["layers"]] == [[50, 80], [30, 50]]
    assert [layer["name"] for layer in records[0]["layers"]] == ["0", "2"]


@pytest.mark.parametrize("kind", [str, None])
def test_a_file_gives_the_same_as_its_arrays(tmp_path, arrays, result, kind) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file(arrays, path)
    record = rmtviz.analyze(str(path) if kind else path).to_dict()
    expected = result.to_dict()
    assert record["layers"] == expected["layers"]
    assert record["model"]["digest"] == expected["model"]["digest"]
    assert record["model"]["source"] == "weights.safetensors"
    assert record["model"]["format"] == "safetensors"


def test_a_file_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(FileRefused):
        rmtviz.analyze(tmp_path / "nothing.pt")


@pytest.mark.parametrize("model", [3, None, [np.eye(3)], np.eye(3), b"bytes"])
def test_what_is_no_model_is_refused(model: object) -> None:
    with pytest.raises(BadOption) as refusal:
        rmtviz.analyze(model)
    assert refusal.value.key == "not_a_model"


def test_bfloat16_is_analysed_as_the_numbers_that_it_holds(network: nn.Module) -> None:
    half = network.to(torch.bfloat16)
    (layer, _) = rmtviz.analyze(half)
    exact = half[0].weight.detach().to(torch.float64).numpy()
    assert layer.spectrum.values == pytest.approx(Spectrum.of(exact).values, rel=1e-12)
    state = {"0.weight": exact.astype(ml_dtypes.bfloat16)}
    assert rmtviz.analyze(state)["0"].sigma == layer.sigma


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_layer_that_is_not_finite_is_left_out_and_the_others_are_not(arrays, bad: float) -> None:
    broken = arrays["net.2.weight"].copy()
    broken[5, 5] = bad
    result = rmtviz.analyze({**arrays, "net.2.weight": broken})
    assert [layer.name for layer in result] == ["net.0", "net.4"]
    reasons = {item.name: item.reason for item in result.skipped}
    assert reasons == {
        "net.0.bias": "bias",
        "net.2.weight": "not_finite",
        "steps": "not_floating",
    }


def test_a_factored_layer_is_its_product() -> None:
    rng = np.random.default_rng(0)
    small, large = rng.normal(size=(25, 80)), rng.normal(size=(60, 25))
    checkpoint = Checkpoint.of({"a.0.weight": small, "a.1.weight": large})
    (layer,) = rmtviz.analyze(checkpoint.with_about(factored=["a"]))
    assert (layer.layer.kind, layer.layer.shape, layer.parameters) == ("factored", (60, 80), 3500)
    assert layer.status is Status.DEGENERATE
    assert layer.spectrum.hard_rank == 25


def test_numbers_of_a_layer_are_their_formulas(result) -> None:
    layer = result["net.2"]
    s, bulk = layer.spectrum.values, layer.fit.bulk
    p, n, sigma = 40, 60, layer.sigma
    assert sigma == pytest.approx(0.2, rel=0.05)
    assert layer.edges == pytest.approx(
        (sigma * (math.sqrt(n) - math.sqrt(p)), sigma * (math.sqrt(n) + math.sqrt(p)))
    )
    assert layer.cut == pytest.approx(math.sqrt(n * bulk.cut))
    assert layer.spikes == sum(s > layer.cut) == 3
    assert layer.bulk_directions == pytest.approx(37 / 40)
    assert layer.bulk_energy == pytest.approx(sum(s[3:] ** 2) / sum(s**2))
    centre, scale = tracy_widom.smallest_eigenvalue(p, n)
    low = sigma * math.sqrt(centre - tracy_widom.quantile(0.99) * scale)
    assert layer.below == sum(s < low)
    assert layer.law in Law
    each = 1 - 0.9 ** (1 / 2)
    assert result.level == pytest.approx(each)
    names = ("bema", "kritchman-nadler")
    assert layer.ranks == {name: METHODS[name](level=each)(layer.spectrum).spikes for name in names}


def test_a_transposed_layer_has_the_same_numbers(arrays) -> None:
    (wide,) = rmtviz.analyze({"a.weight": arrays["net.0.weight"]})
    (tall,) = rmtviz.analyze({"a.weight": arrays["net.0.weight"].T})
    wide_record, tall_record = wide.to_dict(), tall.to_dict()
    assert wide_record.pop("shape") == tall_record.pop("shape")[::-1] == [60, 100]
    entries = [
        [record.pop(key) for key in keys]
        for record, keys in (
            (wide_record, ("row_spread", "column_spread", "kurtosis")),
            (tall_record, ("column_spread", "row_spread", "kurtosis")),
        )
    ]
    assert entries[0] == pytest.approx(entries[1], rel=1e-9)
    assert tall_record == wide_record


@pytest.mark.parametrize("name", METHODS)
def test_a_named_method_is_the_one_that_counts(arrays, name: str) -> None:
    spectra = decomposition.decompose(Checkpoint.of(arrays))
    method = METHODS[name](level=0.9)
    checkpoint = Checkpoint.of(arrays)
    result = analysis.fit(spectra, method, checkpoint, each=True)
    assert result.to_dict()["method"] == name
    assert result.to_dict()["options"]["level"] == result.level == pytest.approx(0.9)
    for layer, item in zip(result, spectra.layers, strict=True):
        alone = method(item.spectrum, lambda item=item: item.layer.matrix(checkpoint))
        assert (layer.fit.status, layer.fit.bulk) == (alone.status, alone.bulk)
        assert layer.ranks[name] == layer.spikes
        others = ("bema", "kritchman-nadler")
        found = {
            other: METHODS[other](level=result.level)(item.spectrum).spikes for other in others
        }
        assert layer.ranks == {**found, name: layer.spikes}


def test_bema_is_the_method_unless_another_is_given(arrays, result) -> None:
    assert result.method == BEMA()
    assert rmtviz.analyze(arrays, KritchmanNadler()).method == KritchmanNadler()


@pytest.mark.parametrize("name", METHODS)
def test_json_has_every_promised_key_and_no_nan(arrays, name: str) -> None:
    odd = {"zero.weight": np.zeros((30, 40)), "row.weight": np.ones((1, 40))}
    record = rmtviz.analyze({**arrays, **odd}, METHODS[name]()).to_dict()
    again = json.loads(json.dumps(record, allow_nan=False))
    assert again == record
    assert set(record) >= {"model", "method", "layers", "skipped"}
    assert set(record["model"]) >= MODEL_KEYS
    assert len(record["layers"]) == 5
    assert all(set(layer) >= LAYER_KEYS for layer in record["layers"])
    assert all(set(item) == SKIPPED_KEYS for item in record["skipped"])
    assert record["model"]["parameters"] == 60 * 100 + 60 + 40 * 60 + 400 + 1200 + 40
    assert record["model"]["bytes"] == 4 * 8860 + 8 * (1240 + 3)
    fitted = [layer for layer in record["layers"] if layer["status"] == "ok"]
    # shuffled, single huge entries hide the spikes that they make, and no bulk is found
    assert len(fitted) == (1 if name == "permutation" else 2)
    assert all(None not in layer.values() for layer in fitted)


def test_frame_has_a_row_a_layer(result) -> None:
    frame = result.to_frame()
    assert isinstance(frame, pandas.DataFrame)
    assert frame["name"].tolist() == ["net.0", "net.2", "net.4"]
    assert set(frame.columns) >= LAYER_KEYS
    assert frame["sigma"].tolist()[:2] == [layer.sigma for layer in result][:2]
    assert frame["sigma"].isna().tolist() == [False, False, True]


def test_layers_go_by_name(result) -> None:
    assert result["net.4"].status is Status.TOO_SMALL
    with pytest.raises(BadOption) as refusal:
        result["net.3"]
    assert refusal.value.key == "unknown_layer"
    assert "net.0, net.2, net.4" in refusal.value.do


def test_a_model_without_layers_is_an_analysis_all_the_same() -> None:
    result = rmtviz.analyze({"bias": np.zeros(3)})
    assert result.layers == ()
    assert [item.name for item in result.skipped] == ["bias"]
    assert list(result.to_frame().columns) == []


def test_progress_counts_every_weight(arrays) -> None:
    seen: list[tuple[int, int]] = []
    rmtviz.analyze(arrays, progress=lambda done, of: seen.append((done, of)))
    steps = np.diff([0, *(done for done, _ in seen)])
    assert sorted(steps) == [400, 2400, 6000]  # in the order in which the layers are ready
    assert {of for _, of in seen} == {8800}


@pytest.mark.parametrize(
    ("ranks", "stable"),
    [
        ((0, 0), True),
        ((0, 1), False),
        ((6, 10), True),
        ((59, 100), False),
        ((60, 100), True),
        ((100, 60), True),
        ((7, 7), True),
        ((3, 5), True),
        ((2, 4), False),
        ((None, 4), False),
        ((4, None), False),
    ],
)
def test_stable_means_three_fifths(ranks: tuple[int | None, int | None], stable: bool) -> None:
    assert layer_with(dict(zip(("bema", "kritchman-nadler"), ranks, strict=True))).stable is stable


def test_stability_holds_at_every_exact_boundary() -> None:
    assert STABLE == 0.6
    layer = layer_with({})
    for k in range(1, 2000):
        assert replace(layer, ranks={"bema": 3 * k, "dyson": 5 * k}).stable is True
        assert replace(layer, ranks={"bema": 3 * k - 1, "dyson": 5 * k}).stable is False


def test_without_a_fit_there_is_no_stability() -> None:
    assert layer_with({"bema": 3, "dyson": 4}, spikes=None).stable is None
