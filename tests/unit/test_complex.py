"""Complex weights are weights: analysed, cut, written and read again, and refused in words."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from rmtviz import formats, metrics, operators, pruning, sparse, verdict
from rmtviz.analysis import analyze, fit
from rmtviz.cache import remembered
from rmtviz.checkpoint import Checkpoint, double
from rmtviz.decomposition import Spectra, decompose, gram_bytes
from rmtviz.errors import BadOption, CannotRun
from rmtviz.factors import Factors
from rmtviz.fits import METHODS, Status
from rmtviz.layers import find
from rmtviz.live import Live
from rmtviz.loops import RMTPruner
from rmtviz.networks import MLP
from rmtviz.rules import RULES, FixedRank, NoiseEdge
from rmtviz.schedules import Every
from rmtviz.spectrum import Spectrum
from rmtviz.trial import controls
from rmtviz.words import catalogue

FORMS = {"npz": "complex128", "pytorch": "complex128", "safetensors": "complex64"}
"""The formats that hold complex numbers, with the widest that they hold."""


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Independent complex entries with E|w|² = 1."""
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)) / np.sqrt(2)


def planted(seed: int, m: int, n: int, spikes: int = 4, dtype: str = "complex64") -> np.ndarray:
    """Complex noise with a few strong spikes."""
    rng = np.random.default_rng(seed)
    left, right = (np.linalg.qr(normal(rng, side, spikes))[0] for side in (m, n))
    signal = (left * np.linspace(3, 6, spikes) * (m * n) ** 0.25) @ right.conj().T
    return (normal(rng, m, n) + signal).astype(dtype)


def model(dtype: str = "complex64") -> Checkpoint:
    return Checkpoint.of(
        {
            "0.weight": planted(0, 60, 90, dtype=dtype),
            "0.bias": np.ones(60, dtype),
            "2.weight": planted(1, 40, 60, dtype=dtype),
        }
    )


def pruned_at(checkpoint: Checkpoint, plan: pruning.PruningPlan) -> np.ndarray:
    """The matrix of the first layer after a cut."""
    after = pruning.apply(checkpoint, plan)
    return next(x for x in find(after)[0] if x.name == "0").matrix(after).astype("complex64")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_fits_a_complex_layer(name: str) -> None:
    result = analyze(model(), METHODS[name](level=0.05))
    assert result.skipped[0].reason == "bias"
    for layer in result:
        assert layer.status is Status.OK
        assert (layer.spectrum.beta, layer.shown.beta) == (2, 2)
        assert 4 <= layer.spikes <= 5
        assert layer.scaled or layer.sigma == pytest.approx(1, abs=0.1)
        assert layer.to_dict()["beta"] == 2
        assert verdict.of_fit(layer)
    json.dumps(result.to_dict(), allow_nan=False)


def test_the_cut_is_that_of_complex_noise() -> None:
    # the same values, of a real matrix, would need a wider margin
    spectrum = Spectrum.of(planted(0, 60, 90))
    real = Spectrum(spectrum.values, spectrum.shape)
    for name, method in METHODS.items():
        if not method.needs_matrix:
            bulk, other = method()(spectrum).bulk, method()(real).bulk
            assert bulk.cut < other.cut, name
            assert bulk.sigma == pytest.approx(other.sigma, rel=0.02)


def test_spectra_survive_json_and_the_disk(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("rmtviz.cache.data_home", lambda: tmp_path)
    for make in (decompose, remembered, remembered):
        spectra = make(model(), equalise=True)
        again = Spectra.from_dict(json.loads(json.dumps(spectra.to_dict())))
        for first, second in zip(spectra.layers, again.layers, strict=True):
            assert first.spectrum.beta == second.spectrum.beta == 2
            assert first.equalised.beta == second.equalised.beta == 2
        expected = fit(spectra, METHODS["dyson"]()).to_dict()
        assert fit(again, METHODS["dyson"]()).to_dict() == expected


@pytest.mark.parametrize("form", pruning.FORMS)
@pytest.mark.parametrize("name", FORMS)
def test_a_cut_network_is_written_and_read_again(name: str, form: str) -> None:
    checkpoint = model(FORMS[name])
    analysis = analyze(checkpoint)
    plan = pruning.plan(analysis, NoiseEdge(), form=form, include_last=True)
    pruned = pruning.apply(checkpoint, plan)
    again = formats.read(formats.write(pruned, name))
    assert again.digest == pruned.digest
    assert {it.dtype.name for it in again.tensors.values()} == {FORMS[name]}
    for layer in find(again)[0]:
        whole, cut = double(checkpoint[f"{layer.name}.weight"]), layer.matrix(again)
        lost = np.linalg.norm(whole - cut) / np.linalg.norm(whole)
        rank = plan[layer.name].rank_after
        assert lost == pytest.approx(pruning.error(analysis[layer.name], rank), abs=1e-5)
        assert np.linalg.matrix_rank(cut, tol=1e-3) == rank == analysis[layer.name].spikes
        assert layer.factored == (form != "dense")


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_cuts_and_a_pair_is_cut_again(rule: str) -> None:
    pair = pruning.apply(model(), pruning.plan(analyze(model()), FixedRank(20), include_last=True))
    for checkpoint in (model(), pair):
        plan = pruning.plan(analyze(checkpoint), RULES[rule](), include_last=True)
        pruned = pruning.apply(checkpoint, plan)
        assert pruned.parameters <= checkpoint.parameters
        assert {it.dtype.name for it in pruned.tensors.values()} == {"complex64"}


def test_controls_of_a_cut_are_of_the_same_size() -> None:
    checkpoint = model()
    plan = pruning.plan(analyze(checkpoint), NoiseEdge())
    made = controls(checkpoint, plan)
    whole, kept = checkpoint["0.weight"], pruned_at(checkpoint, plan)
    lost = np.linalg.norm(whole - kept)
    assert np.linalg.norm(made["bulk"]["0.weight"]) == pytest.approx(lost, rel=1e-4)
    fresh = made["fresh"]["0.weight"] - kept
    assert np.linalg.norm(fresh) == pytest.approx(lost, rel=1e-4)
    assert np.linalg.norm(fresh.imag) == pytest.approx(np.linalg.norm(fresh.real), rel=0.1)


def test_a_complex_number_is_one_parameter_and_its_bytes_are_all() -> None:
    checkpoint = model()
    assert checkpoint.parameters == 60 * 90 + 60 + 40 * 60
    assert checkpoint.bytes == 8 * checkpoint.parameters
    layer = find(checkpoint)[0][0]
    real = Checkpoint.of({name: checkpoint[name].real for name in checkpoint})
    assert gram_bytes(layer, checkpoint) == 2 * gram_bytes(find(real)[0][0], real)


def test_what_a_format_cannot_hold_is_refused() -> None:
    with pytest.raises(BadOption) as refusal:
        formats.write(model("complex128"), "safetensors")
    assert refusal.value.key == "write_dtype"


def test_a_network_of_complex_weights_is_not_run() -> None:
    with pytest.raises(CannotRun) as refusal:
        MLP()(model())
    assert refusal.value.key == "weights_complex"


def test_no_reason_to_skip_is_left_over() -> None:
    assert "skipped.complex" not in catalogue()


def test_directions_of_outputs_change_the_outputs_least() -> None:
    # of all matrices of rank 5: E‖(W − W₅)x‖² is the sum of the other eigenvalues of W C Wᴴ
    w, root = planted(3, 30, 40, dtype="complex128"), np.random.default_rng(4).normal(size=(40, 40))
    second = root @ root.T
    for matrix in (w, w.T[:, :30]):
        c = second[: matrix.shape[1], : matrix.shape[1]]
        parts = Factors.seen(matrix, c)
        left = matrix - parts.truncated(5)
        energies = np.linalg.eigvalsh(matrix @ c @ matrix.conj().T)[::-1]
        lost = np.trace(left @ c @ left.conj().T).real
        assert lost == pytest.approx(energies[5:].sum(), rel=1e-6)
        assert parts.carried(c)[:5].sum() == pytest.approx(1 - lost / energies.sum(), rel=1e-6)


def test_a_difference_of_two_networks_stays_complex() -> None:
    first, second = model(), model()
    assert not any(first.minus(second)[name].any() for name in first)
    real = Checkpoint.of({"0.weight": np.ones((60, 90)), "0.bias": first["0.bias"] + 1j})
    assert list(first.minus(real)) == ["0.bias"]
    assert first.minus(real)["0.bias"] == pytest.approx(np.full(60, -1j))


def test_small_entries_are_those_of_small_modulus() -> None:
    checkpoint = model()
    left = sparse.largest(checkpoint, ["0.weight"], 0.25)["0.weight"]
    sizes = np.abs(checkpoint["0.weight"])
    assert np.count_nonzero(left) == 60 * 90 // 4
    assert np.abs(left[left != 0]).min() >= np.sort(sizes.ravel())[-60 * 90 // 4] * (1 - 1e-6)


def test_metrics_have_their_nulls() -> None:
    w = double(planted(0, 60, 90))
    names = [name for name in metrics.METRICS if name != "exponent"]
    readings = metrics.measure(w, METHODS["bema"](), np.random.default_rng(0), names=names)
    assert all(reading.value and reading.shuffled and reading.untrained for reading in readings)
    fresh = metrics.untrained((200, 300), np.random.default_rng(0), 2)
    assert np.mean(np.abs(fresh) ** 2) == pytest.approx(1 / 900, rel=0.02)
    assert Spectrum.of(fresh).beta == 2


def test_a_complex_convolution_is_the_operator_that_it_is() -> None:
    kernel = normal(np.random.default_rng(5), 4, 3, 3, 3)
    checkpoint = Checkpoint.of({"conv.weight": kernel})
    (layer,) = find(checkpoint)[0]
    found = operators.values(checkpoint, layer, (6, 6))
    assert np.sum(found**2) == pytest.approx(36 * np.sum(np.abs(kernel) ** 2))
    assert Spectrum.of(layer.matrix(checkpoint)).beta == 2


def test_a_normalised_weight_is_put_together() -> None:
    v, g = planted(0, 30, 40), np.linspace(1, 2, 30, dtype="float32")[:, None]
    left, values, right = np.linalg.svd(v, full_matrices=False)
    parts = {"weight_orig": v, "weight_u": left[:, 0], "weight_v": right[0].conj()}
    for held in ({"a.weight_v": v, "a.weight_g": g}, {f"b.{x}": it for x, it in parts.items()}):
        read = formats.read(formats.write(Checkpoint.of(held), "npz"))
        if "a.weight" in read:
            assert np.linalg.norm(read["a.weight"], axis=1) == pytest.approx(g[:, 0], rel=1e-5)
        else:
            assert read["b.weight"] == pytest.approx(v / values[0], rel=1e-4)


def linear(seed: int) -> nn.Sequential:
    """Two complex layers, the first with spikes."""
    net = nn.Sequential(
        nn.Linear(90, 60, dtype=torch.complex64), nn.Linear(60, 10, dtype=torch.complex64)
    )
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor(planted(seed, 60, 90)))
    return net


def test_a_live_module_is_cut_and_judged() -> None:
    net, x = linear(0), torch.ones(3, 90, dtype=torch.complex64)
    live = Live(net, lambda module: float(module(x).abs().sum().detach()))
    plan = pruning.plan(live.analysis, NoiseEdge())
    assert plan["0"].form == "factored"
    expected = net[1](net[0].bias + x @ torch.tensor(pruned_at(live.checkpoint, plan)).T)
    assert live.cut(plan)(x).detach().numpy() == pytest.approx(expected.detach().numpy(), abs=1e-3)
    assert live.judge(plan).size.parameters < live.whole.size.parameters


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam])
def test_a_training_loop_is_cut_and_goes_on(make) -> None:
    net = linear(1)
    optimiser = make(net.parameters(), lr=1e-4)
    pruner = RMTPruner(net, optimiser, Every(gate="none", first=1, every=1), NoiseEdge())
    x = torch.randn(20, 90, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    plans = []
    for _ in range(4):
        optimiser.zero_grad()
        net(x).abs().square().mean().backward()
        optimiser.step()
        plans.append(pruner.step())
    assert type(net[0]).__name__ == "Factored"
    assert net[0].weight.dtype == torch.complex64
    assert torch.isfinite(net(x).abs()).all()
    assert any(plan is not None for plan in plans)
