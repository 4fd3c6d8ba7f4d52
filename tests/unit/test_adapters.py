"""Low-rank updates (LoRA): their product with its scale, without a claim of Marchenko–Pastur."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rmtviz import analyze, formats, layers, pruning, verdict
from rmtviz.checkpoint import Checkpoint
from rmtviz.cli import main
from rmtviz.decomposition import Spectra, decompose
from rmtviz.factors import Factors
from rmtviz.fits import METHODS, Status
from rmtviz.rules import RULES, EnergyShare
from rmtviz.spectrum import NotFiniteError, Spectrum

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(6, 40)).astype("f4"), RNG.normal(size=(50, 6)).astype("f4")
DOWN, UP = RNG.normal(size=(6, 5, 3, 3)).astype("f4"), RNG.normal(size=(32, 6, 1, 1)).astype("f4")

NAMES = {
    "peft": ("x.q_proj.lora_A.weight", "x.q_proj.lora_B.weight", "x.q_proj.lora"),
    "peft, named": (
        "x.q_proj.lora_A.default.weight",
        "x.q_proj.lora_B.default.weight",
        "x.q_proj.lora.default",
    ),
    "loralib": ("x.q_proj.lora_A", "x.q_proj.lora_B", "x.q_proj.lora"),
    "kohya": ("lora_te_x_q.lora_down.weight", "lora_te_x_q.lora_up.weight", "lora_te_x_q.lora"),
    "diffusers": ("x.to_q.lora.down.weight", "x.to_q.lora.up.weight", "x.to_q.lora"),
}
SCALED = {
    "lora_te_x_q.lora_down.weight": A,
    "lora_te_x_q.lora_up.weight": B,
    "lora_te_x_q.alpha": np.array(3.0, "f4"),
    "lora_te_y.lora_down.weight": DOWN,
    "lora_te_y.lora_up.weight": UP,
    "lora_te_y.alpha": np.array(12.0, "f4"),
}
PRODUCTS = {
    "lora_te_x_q.lora": 3 / 6 * B.astype("f8") @ A,
    "lora_te_y.lora": 12 / 6 * UP.reshape(32, 6).astype("f8") @ DOWN.reshape(6, 45),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_pair_is_one_layer_whatever_wrote_it(name: str) -> None:
    first, second, label = NAMES[name]
    base = RNG.normal(size=(50, 40)).astype("f4")
    found, skipped = layers.find(Checkpoint.of({first: A, second: B, "x.q_proj.weight": base}))
    assert {each.name for each in found} == {label, "x.q_proj"}
    assert skipped == ()
    (layer,) = [each for each in found if each.adapter]
    assert (layer.tensors, layer.shape, layer.scale) == ((first, second), (50, 40), 1.0)


def test_two_updates_of_one_layer_are_two() -> None:
    arrays = {f"x.lora_{w}.{n}.weight": v for w, v in (("A", A), ("B", B)) for n in ("one", "two")}
    found, _ = layers.find(Checkpoint.of(arrays))
    assert [each.name for each in found] == ["x.lora.one", "x.lora.two"]


@pytest.mark.parametrize("method", METHODS)
def test_its_values_are_those_of_the_scaled_product_and_no_law_is_claimed(method: str) -> None:
    checkpoint = Checkpoint.of(SCALED)
    found = analyze(checkpoint, METHODS[method]())
    assert {each.name for each in found} == PRODUCTS.keys()
    for each in found:
        expected = np.linalg.svd(PRODUCTS[each.name], compute_uv=False)
        assert np.allclose(each.spectrum.values, expected, atol=1e-5 * expected[0])
        assert each.spectrum.hard_rank == 6
        assert each.status is Status.PRODUCT
        assert (each.bulk, each.spikes, set(each.ranks.values())) == (None, None, {None})
        assert "rank 6" in verdict.of_layer(each)
        assert np.allclose(each.layer.matrix(checkpoint), PRODUCTS[each.name])


def test_the_level_of_the_model_counts_no_updates() -> None:
    w = RNG.normal(size=(40, 30))
    alone = analyze(Checkpoint.of({"fc.weight": w}))
    assert analyze(Checkpoint.of({"fc.weight": w, **SCALED})).level == alone.level


@pytest.mark.parametrize("form", pruning.FORMS)
def test_a_cut_keeps_the_names_and_the_product_with_its_scale(form: str) -> None:
    checkpoint = Checkpoint.of(SCALED)
    plan = pruning.plan(analyze(checkpoint), EnergyShare(0.8), include_last=True, form=form)
    pruned = pruning.apply(checkpoint, plan)
    assert set(pruned) == set(checkpoint)
    for layer in layers.find(pruned)[0]:
        cut = plan[layer.name]
        assert 1 <= cut.rank_after < 6
        left, values, right = np.linalg.svd(PRODUCTS[layer.name], full_matrices=False)
        kept = slice(cut.rank_after)
        expected = (left[:, kept] * values[kept]) @ right[kept]
        assert np.allclose(layer.matrix(pruned), expected, atol=1e-4)
        assert layer.parameters(pruned) == cut.parameters_after
        assert layer.scale == pytest.approx({"lora_te_y.lora": 2.0}.get(layer.name, 0.5))
    assert pruned["lora_te_y.lora_down.weight"].shape[1:] == (5, 3, 3)
    again = formats.read(formats.write(pruned, "safetensors"))
    assert [x.name for x in layers.find(again)[0]] == [x.name for x in layers.find(pruned)[0]]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_copes_with_an_update(rule: str) -> None:
    checkpoint = Checkpoint.of(SCALED)
    plan = pruning.plan(analyze(checkpoint), RULES[rule](), include_last=True)
    pruning.apply(checkpoint, plan)
    assert all(cut.rank_before == 6 for cut in plan.cuts)


@pytest.mark.parametrize("shape", [(50, 6, 40), (7, 12, 40), (40, 12, 7), (5, 9, 5), (3, 1, 4)])
def test_the_product_is_decomposed_without_being_made(shape: tuple[int, int, int]) -> None:
    m, r, n = shape
    b, a = RNG.normal(size=(m, r)), RNG.normal(size=(r, n))
    expected = np.linalg.svd(-2.0 * b @ a, compute_uv=False)
    assert np.allclose(Spectrum.by_product(b, a, -2.0).values, expected)
    parts = Factors.of_pair(a, b)
    assert np.allclose((parts.left * parts.values) @ parts.right.T, b @ a)
    assert np.allclose(parts.left.T @ parts.left, np.eye(len(parts.values)))


def test_a_huge_product_takes_no_memory_of_its_size() -> None:
    wide = {"x.lora_A": np.ones((1, 300_000), "f4"), "x.lora_B": np.ones((300_000, 1), "f4")}
    (layer,) = analyze(Checkpoint.of(wide))
    assert layer.spectrum.values[0] == pytest.approx(300_000)


def test_what_is_not_finite_is_listed() -> None:
    found = analyze(Checkpoint.of({"x.lora_A": A * np.nan, "x.lora_B": B}))
    assert found.layers == ()
    assert {item.reason for item in found.skipped} == {"not_finite"}
    with pytest.raises(NotFiniteError):
        Spectrum.by_product(B, A * np.inf)


def test_it_survives_json_and_the_command_line(tmp_path: Path) -> None:
    made = decompose(Checkpoint.of(SCALED))
    assert [x.layer for x in Spectra.from_dict(made.to_dict()).layers] == [
        x.layer for x in made.layers
    ]
    file = tmp_path / "lora.safetensors"
    file.write_bytes(formats.write(Checkpoint.of(SCALED), "safetensors"))
    run = CliRunner().invoke(main, ["analyze", str(file), "--json"])
    rows = json.loads(run.stdout)["layers"]
    assert {row["status"] for row in rows} == {"product"}
    assert all(row["sigma"] is None for row in rows)
