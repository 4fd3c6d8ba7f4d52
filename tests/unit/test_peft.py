"""Adapters with PEFT's settings: the update as the network uses it, also after a cut."""

import io
import json
import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from click.testing import CliRunner

from rmtviz import analyze, formats, layers, peft, pruning
from rmtviz.cli import main
from rmtviz.errors import FileRefused
from rmtviz.rules import EnergyShare, Off

RNG = np.random.default_rng(0)
HEAD = "base_model.model.model.layers"
RANKS = {"0.q_proj": 6, "0.v_proj": 6, "1.q_proj": 6, "1.v_proj": 12}
SETTINGS = {"peft_type": "LORA", "r": 6, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]}
HOW: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "one for all": (
        {"rank_pattern": {"layers.1.v_proj": 12}},
        dict.fromkeys(RANKS, 16 / 6) | {"1.v_proj": 16 / 12},
    ),
    "a pattern of alphas": (
        {
            "rank_pattern": {r"layers\.1\.v_proj": 12},
            "alpha_pattern": {"1.v_proj": 3, "v_proj": 5.5},
        },
        {"0.q_proj": 16 / 6, "0.v_proj": 5.5 / 6, "1.q_proj": 16 / 6, "1.v_proj": 3 / 12},
    ),
    "rank-stabilised": (
        {"use_rslora": True, "rank_pattern": {"^model.*1.v_proj": 12}},
        dict.fromkeys(RANKS, 16 / math.sqrt(6)) | {"1.v_proj": 16 / math.sqrt(12)},
    ),
    "turned": (
        {"fan_in_fan_out": True, "rank_pattern": {r"model.layers.[1-9]\.(v_proj|o_proj)": 12}},
        dict.fromkeys(RANKS, 16 / 6) | {"1.v_proj": 16 / 12},
    ),
}
hows = pytest.mark.parametrize(("more", "scales"), HOW.values(), ids=HOW)


def arrays() -> dict[str, np.ndarray]:
    made = {}
    for name, rank in RANKS.items():
        made[f"{HEAD}.{name}.lora_A.weight"] = RNG.normal(size=(rank, 40)).astype("f4")
        made[f"{HEAD}.{name}.lora_B.weight"] = RNG.normal(size=(50, rank)).astype("f4")
    return made


def updates(
    weights: Mapping[str, np.ndarray], scales: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """What the settings add to each layer's weights, by its name."""
    return {
        name: scales[name]
        * weights[f"{HEAD}.{name}.lora_B.weight"].astype("f8")
        @ weights[f"{HEAD}.{name}.lora_A.weight"]
        for name in RANKS
    }


def peft_scale(settings: Mapping[str, Any], module: str) -> tuple[float, int]:
    """α/r and r by PEFT's own words: the first pattern that matches the name's end, else all's."""
    import re

    def found(table: str, usual: str) -> float:
        for pattern, value in settings.get(table, {}).items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                return value
        return settings[usual]

    rank = int(found("rank_pattern", "r"))
    root = settings.get("use_rslora", False)
    return found("alpha_pattern", "lora_alpha") / (math.sqrt(rank) if root else rank), rank


def name_of(layer: layers.Layer) -> str:
    return layer.name.removeprefix(f"{HEAD}.").removesuffix(".lora")


def packed(weights: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> dict[str, bytes]:
    content = safetensors.numpy.save(dict(weights), {"format": "pt"})
    return {peft.WEIGHTS: content, peft.SETTINGS: json.dumps(settings).encode()}


@hows
def test_the_product_has_the_scale_that_the_network_uses(more, scales, tmp_path: Path) -> None:
    weights, settings = arrays(), {**SETTINGS, **more}
    expected = updates(weights, scales)
    files = packed(weights, settings)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"adapter/{name}", content)
    ways = {
        "together": formats.together(files, apart=True),
        "a folder": formats.read(tmp_path),
        "the file beside": formats.read(tmp_path / peft.WEIGHTS),
        "a zip": formats.read(zipped.getvalue(), "adapter.zip", apart=True),
    }
    for read in ways.values():
        found = analyze(read)
        assert {name_of(each.layer) for each in found} == RANKS.keys()
        for each in found:
            update = expected[name_of(each.layer)]
            values = np.linalg.svd(update, compute_uv=False)[: len(each.spectrum.values)]
            assert np.allclose(each.spectrum.values, values, rtol=1e-5, atol=1e-5 * values[0])
            assert np.allclose(each.layer.matrix(read), update)


@hows
def test_a_cut_folder_has_settings_that_are_true(more, scales, tmp_path: Path) -> None:
    weights, settings = arrays(), {**SETTINGS, **more}
    before = tmp_path / "before"
    before.mkdir()
    for name, content in packed(weights, settings).items():
        (before / name).write_bytes(content)
    (before / "tokenizer.json").write_text("{}")
    output = tmp_path / "after"
    words = ["prune", str(before), "-o", str(output), "--rule", "off"]
    cuts = {"0.q_proj": 3, "1.v_proj": 5}
    for name, rank in cuts.items():
        words += ["--rank", f"{HEAD}.{name}.lora={rank}"]
    run = CliRunner().invoke(main, words)
    assert run.exit_code == 0, run.output
    assert sorted(path.name for path in output.iterdir()) == [
        *(peft.SETTINGS, peft.WEIGHTS, "tokenizer.json")
    ]
    written = json.loads((output / peft.SETTINGS).read_text())
    assert {**written, **{k: settings[k] for k in ("r", "lora_alpha")}}.items() >= {
        key: value for key, value in settings.items() if not key.endswith("_pattern")
    }.items()
    cut = safetensors.numpy.load_file(output / peft.WEIGHTS)
    told = {name: peft_scale(written, f"model.layers.{name}") for name in RANKS}
    for name, rank in RANKS.items():
        kept = cuts.get(name, rank)
        assert told[name] == (pytest.approx(scales[name]), kept)
        assert cut[f"{HEAD}.{name}.lora_A.weight"].shape == (kept, 40)
    whole, low = updates(weights, scales), updates(cut, {n: s for n, (s, _) in told.items()})
    for name, rank in {**RANKS, **cuts}.items():
        left, values, right = np.linalg.svd(whole[name], full_matrices=False)
        assert np.allclose(low[name], left[:, :rank] * values[:rank] @ right[:rank], atol=1e-4)


def test_settings_of_an_adapter_that_is_not_cut_keep_their_bytes(tmp_path: Path) -> None:
    more, _ = HOW["one for all"]
    files = packed(arrays(), {**SETTINGS, **more})
    before = tmp_path / "before"
    before.mkdir()
    for name, content in files.items():
        (before / name).write_bytes(content)
    words = ["prune", str(before), "-o", str(tmp_path / "after"), "--rule", "off"]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert (tmp_path / "after" / peft.SETTINGS).read_bytes() == files[peft.SETTINGS]


def test_where_all_ranks_are_one_the_settings_have_no_patterns() -> None:
    weights = {k: v for k, v in arrays().items() if ".0." in k}
    read = formats.together(packed(weights, SETTINGS))
    ranks = {layer.name: 4 for layer in layers.find(read)[0]}
    pruned = pruning.apply(read, pruning.plan(analyze(read), Off(), ranks))
    new = peft.after(pruned, SETTINGS)
    assert (new["r"], new["rank_pattern"], new["alpha_pattern"]) == (4, {}, {})
    assert new["lora_alpha"] / 4 == pytest.approx(16 / 6)


def test_a_cut_file_alone_or_with_old_settings_keeps_its_scale() -> None:
    more, scales = HOW["rank-stabilised"]
    settings = {**SETTINGS, **more}
    read = formats.together(packed(arrays(), settings))
    plan = pruning.plan(analyze(read), EnergyShare(0.7), include_last=True)
    pruned = pruning.apply(read, plan)
    content = formats.write(pruned, "safetensors")
    old = json.dumps(settings).encode()
    true = json.dumps(peft.after(pruned, settings)).encode()
    for files in ({}, {peft.SETTINGS: old}, {peft.SETTINGS: true}):
        again = formats.together({peft.WEIGHTS: content, **files})
        for layer in layers.find(again)[0]:
            assert layer.scale == pytest.approx(scales[name_of(layer)])


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"lora_alpha": "16"}, "adapter_numbers"),
        ({"lora_alpha": -1}, "adapter_numbers"),
        ({"lora_alpha": True}, "adapter_numbers"),
        ({"lora_alpha": float("nan")}, "adapter_numbers"),
        ({"r": 0}, "adapter_numbers"),
        ({"r": 10**400}, "adapter_numbers"),
        ({"rank_pattern": {"q_proj": None}}, "adapter_numbers"),
        ({"rank_pattern": ["q_proj"]}, "adapter_numbers"),
        ({"alpha_pattern": {"(a+)+$": 3}}, "adapter_pattern"),
        ({"alpha_pattern": {"x.*.*x": 3}}, "adapter_pattern"),
        ({"alpha_pattern": {"[z-a]x": 3}}, "adapter_pattern"),
        ({"alpha_pattern": {f".*layer{n}": 3 for n in range(21)}}, "adapter_pattern"),
    ],
)
def test_settings_that_are_refused(change, key) -> None:
    with pytest.raises(FileRefused) as caught:
        formats.together(packed(arrays(), {**SETTINGS, **change}))
    assert caught.value.key == key
    assert peft.SETTINGS in caught.value.what


def test_settings_of_another_method_scale_nothing() -> None:
    read = formats.together(packed(arrays(), {**SETTINGS, "peft_type": "LOHA"}))
    assert {layer.scale for layer in layers.find(read)[0]} == {1.0}
    assert peft.kept(read) is None
