"""Attention heads: each part of a projection, and the parts together, are the tensor exactly."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rmtviz import analyze, formats, layers, pruning
from rmtviz.checkpoint import Checkpoint
from rmtviz.cli import main
from rmtviz.decomposition import Spectra, decompose
from rmtviz.heads import Heads
from rmtviz.rules import FixedRank

COUNT, SIDE, WIDTH = 4, 6, 24
RNG = np.random.default_rng(0)


def drawn(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype("f4")


PROJECTIONS = {
    "h.0.attn.q_proj.weight": (drawn(WIDTH, WIDTH), COUNT),
    "h.0.attn.k_proj.weight": (drawn(WIDTH // 2, WIDTH), COUNT // 2),
    "h.0.attn.v_proj.weight": (drawn(WIDTH // 2, WIDTH), COUNT // 2),
    "h.0.attn.o_proj.weight": (drawn(WIDTH, WIDTH), COUNT),
    "bert.attention.self.query.weight": (drawn(WIDTH, WIDTH), COUNT),
    "bert.attention.output.dense.weight": (drawn(WIDTH, WIDTH), COUNT),
}
FUSED = {
    "h.0.attn.in_proj_weight": drawn(3 * WIDTH, WIDTH),
    "h.0.attention.query_key_value.weight": drawn(3 * WIDTH, WIDTH),
    "h.1.attn.qkv.weight": drawn(3 * WIDTH, WIDTH),
}
CONV1D = {"h.0.attn.c_attn.weight": drawn(WIDTH, 3 * WIDTH), "h.0.attn.c_attn.bias": drawn(72)}


def checkpoint(arrays: dict, shared: int = COUNT, each: bool = True) -> Checkpoint:
    heads = {"count": COUNT, "shared": shared, "each": each}
    return Checkpoint.of(arrays).with_about(heads=heads)


def whole(found: Checkpoint) -> dict[str, np.ndarray]:
    """Every tensor put together again, each layer's matrix written in its place."""
    tensors = dict(found.tensors)
    for layer in layers.find(found)[0]:
        (name,) = layer.tensors
        matrix = layer.matrix(found).astype("f8")
        assert matrix.shape == layer.shape
        tensors[name] = layer.holding(tensors[name], -matrix)
    return {name: -it.read() for name, it in tensors.items()}


@pytest.mark.parametrize("name", PROJECTIONS)
def test_a_projection_is_its_heads(name: str) -> None:
    tensor, count = PROJECTIONS[name]
    found = checkpoint({name: tensor}, COUNT // 2)
    parts = layers.find(found)[0]
    assert [each.name.rpartition("[")[2] for each in parts] == [f"{i}]" for i in range(count)]
    assert np.array_equal(whole(found)[name], tensor)
    across = "o_proj" in name or "output" in name
    for i, each in enumerate(parts):
        block = tensor[:, SIDE * i :][:, :SIDE] if across else tensor[SIDE * i :][:SIDE]
        assert np.array_equal(each.matrix(found), block)
    assert sum(each.parameters(found) for each in parts) == tensor.size


@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("name", [*FUSED, "h.0.attn.c_attn.weight"])
def test_a_fused_projection_is_query_key_and_value_as_the_program_splits_it(
    name: str, each: bool
) -> None:
    arrays = CONV1D if "c_attn" in name else {name: FUSED[name]}
    tensor = arrays[name]
    found = checkpoint(arrays, each=each)
    parts = {x.name.rpartition("[")[2][:-1]: x.matrix(found) for x in layers.find(found)[0]}
    assert np.array_equal(whole(found)[name], tensor)

    x = drawn(5, WIDTH)
    out = x @ (tensor if "c_attn" in name else tensor.T)
    if "query_key_value" in name:  # GPT-NeoX and BLOOM: view(…, heads, 3, side)
        q, k, v = np.moveaxis(out.reshape(5, COUNT, 3, SIDE), 2, 0)
    else:  # split into three, then view(…, heads, side)
        q, k, v = (y.reshape(5, COUNT, SIDE) for y in np.split(out, 3, axis=1))
    for letter, expected in zip("qkv", (q, k, v), strict=True):
        if each:
            made = np.stack([x @ parts[f"{letter}.{i}"].T for i in range(COUNT)], axis=1)
        else:
            made = (x @ parts[letter].T).reshape(5, COUNT, SIDE)
        assert np.allclose(made, expected, atol=1e-5)


def test_nothing_is_split_that_is_not_known_to_be() -> None:
    odd = {
        "h.attn.q_proj.weight": drawn(WIDTH + 1, WIDTH),
        "h.mlp.dense.weight": drawn(WIDTH, WIDTH),
        "falcon.query_key_value.weight": drawn(WIDTH + 2 * SIDE, WIDTH),
    }
    assert all(layer.part is None for layer in layers.find(checkpoint(odd))[0])
    plain = Checkpoint.of({"x.query_key_value.weight": FUSED["h.1.attn.qkv.weight"]})
    assert [layer.part for layer in layers.find(plain)[0]] == [None]
    several = {name: tensor for name, (tensor, _) in PROJECTIONS.items()}
    known = layers.find(checkpoint(several, COUNT // 2, each=False))[0]
    assert all(layer.part is None for layer in known)


@pytest.mark.parametrize(
    "record", [None, 3, {}, {"count": 0, "shared": 1}, {"count": "4", "shared": 4}, {"count": True}]
)
def test_a_record_that_makes_no_sense_is_none(record: object) -> None:
    assert Heads.of(record) is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"num_attention_heads": 12}, Heads(12, 12)),
        ({"n_head": 12}, Heads(12, 12)),
        ({"num_attention_heads": 32, "num_key_value_heads": 8}, Heads(32, 8)),
        ({"num_attention_heads": 32, "num_key_value_heads": None}, Heads(32, 32)),
        ({"num_attention_heads": [1, 2]}, None),
        ({}, None),
    ],
)
def test_settings_say_how_many(settings: dict, expected: Heads | None) -> None:
    assert Heads.of_settings(settings) == expected


def test_a_cut_of_the_heads_is_a_cut_of_each() -> None:
    name = "h.0.attention.query_key_value.weight"
    found = checkpoint({name: FUSED[name]})
    plan = pruning.plan(analyze(found), FixedRank(2), include_last=True)
    pruned = pruning.apply(found, plan)
    ranks = {np.linalg.matrix_rank(x.matrix(pruned)) for x in layers.find(pruned)[0]}
    assert ranks == {2}
    assert len(plan.cuts) == 3 * COUNT
    made = decompose(found)
    assert [x.layer for x in Spectra.from_dict(made.to_dict()).layers] == [
        x.layer for x in made.layers
    ]


def test_a_folder_tells_and_the_command_line_chooses(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    arrays = {name: tensor for name, (tensor, _) in PROJECTIONS.items()} | FUSED
    content = formats.write(Checkpoint.of(arrays), "safetensors")
    (folder / "model.safetensors").write_bytes(content)

    def names(*more: str) -> set[str]:
        run = CliRunner().invoke(main, ["analyze", str(folder), "--json", *more])
        assert run.exit_code == 0, run.output
        return {row["name"] for row in json.loads(run.stdout)["layers"]}

    fused = "h.0.attention.query_key_value"
    assert fused in names()
    assert f"{fused}[q.3]" in names("--heads", "4")
    assert CliRunner().invoke(main, ["analyze", str(folder), "--heads", "config"]).exit_code == 2
    assert CliRunner().invoke(main, ["analyze", str(folder), "--heads", "x"]).exit_code == 2
    (folder / "config.json").write_text('{"num_attention_heads": 4, "num_key_value_heads": 4}')
    assert {f"{fused}[q]", f"{fused}[k]", f"{fused}[v]"} <= names()
    assert formats.read(folder).digest == formats.read(content).digest
    assert f"{fused}[v.0]" in names("--heads", "config")
    assert "h.0.attn.k_proj[1]" in names("--heads", "4:2")
    for broken in ("[1", "[]", '{"num_attention_heads": "many"}'):
        (folder / "config.json").write_text(broken)
        assert fused in names()
