"""Uploads: good files become the current network, bad ones get a sentence and a way out."""

import io
import json
import re
import zipfile

import numpy as np
import pytest
from onnx import helper, numpy_helper

from rmtviz import formats, layers, peft, verdict
from rmtviz.fits import BEMA
from rmtviz.ui import session, widgets
from rmtviz.ui.library import SAMPLES
from rmtviz.words import say
from tests.hostile.making import gguf_file, gguf_tensor, hdf5_file
from tests.hostile.test_owners import FILES

NAMES = {"safetensors": "mine.safetensors", "pytorch": "mine.pt", "npz": "mine.npz"}


@pytest.mark.parametrize("form", NAMES)
def test_a_good_file_becomes_the_current_network(visit, network, packed, form: str):
    tensors = network(60, 40, 24)
    content = packed(tensors, form)
    visitor = visit().upload(NAMES[form], content)
    assert visitor.errors == []
    assert visitor.model not in SAMPLES
    assert visitor.at.query_params["model"] == visitor.model
    checkpoint = formats.read(content, NAMES[form])
    assert f"{NAMES[form]} · 2 layers · 3,424 parameters" in visitor.at.caption[0].value
    assert checkpoint.digest[:8] in visitor.at.caption[0].value
    table = visitor.at.dataframe(key="layer_map").value
    assert list(table["shape"]) == ["40 × 60", "24 × 40"]


def test_the_shards_of_a_network_are_opened_together(visit, network, packed):
    tensors = network(60, 40, 24)
    parts = [dict(list(tensors.items())[start::2]) for start in (0, 1)]
    visitor = visit()
    visitor.at.file_uploader[0].set_value(
        [(f"part-{n}.safetensors", packed(part), "") for n, part in enumerate(parts)]
    )
    visitor.at.run()
    assert visitor.errors == []
    assert formats.read(packed(tensors)).digest[:8] in visitor.at.caption[0].value


def test_the_own_network_is_there_on_every_page_and_by_its_link(visit, network, packed):
    visitor = visit().upload("mine.safetensors", packed(network(60, 40, 24)))
    assert "mine.safetensors" in visitor.at.segmented_control(key="model_choice").options
    for page in ("prune", "train", "explore"):
        assert visitor.go(page).model == visitor.model
    visitor.choose("model_choice", "untrained")
    assert visitor.model == "untrained"
    key = visitor.at.segmented_control(key="model_choice").options
    assert "mine.safetensors" in key


def test_another_visitor_sees_it_by_its_link_only(visit, network, packed):
    first = visit().upload("secret-plan.safetensors", packed(network(60, 40, 24)))
    assert "secret-plan" not in str(visit().at.segmented_control(key="model_choice").options)
    assert "secret-plan" in visit(model=first.model).words


def test_the_file_itself_is_not_kept_in_the_session(visit, network, packed):
    visitor = visit().upload("mine.npz", packed(network(60, 40, 24), "npz"))
    kept = visitor.at.session_state.to_dict().values()
    assert not any(isinstance(value, bytes | io.IOBase) for value in kept)


@pytest.fixture
def bad(network, packed):
    good = packed(network(60, 40, 24))
    return {
        "page.safetensors": (b"<!DOCTYPE html><html><title>404</title></html>", "is_html"),
        "empty.pt": (b"", "is_empty"),
        "noise.npz": (np.random.default_rng(0).bytes(5_000), "is_unknown"),
        "cut.safetensors": (good[:-100], None),
        "cut.pt": (packed(network(60, 40, 24), "pytorch")[:-100], None),
        "list.txt": (b"1 2 3\n4 5 6\n" * 20, "is_text"),
    }


@pytest.mark.parametrize(
    "name",
    ["page.safetensors", "empty.pt", "noise.npz", "cut.safetensors", "cut.pt", "list.txt"],
)
def test_a_bad_file_gets_one_sentence_and_a_way_out(visit, bad, sentence, name: str):
    content, key = bad[name]
    visitor = visit(model="noisy").upload(name, content)
    ((what, do),) = visitor.errors
    assert name in what
    assert do
    if key:
        assert sentence(f"error.{key}.what").fullmatch(what)
    assert "Traceback" not in visitor.words
    assert not re.search(r"\b\w+(Error|Exception)\b", what + do)
    assert visitor.model == "noisy"
    assert visitor.run().errors == []


@pytest.mark.parametrize("form", ["keras", "gguf"])
def test_a_format_that_is_only_read_is_said_beforehand(visit, form: str):
    noise = np.random.default_rng(0).standard_normal((30, 40)).astype(np.float32)
    if form == "keras":
        content = hdf5_file({"a/kernel": noise.T, "a/bias": np.zeros(30, np.float32)})
    else:
        content = gguf_file(noise.tobytes(), gguf_tensor("a.weight", (30, 40)))
    visitor = visit().upload(f"mine.{form}", content)
    assert visitor.errors == []
    assert list(visitor.at.dataframe(key="layer_map").value["shape"]) == ["30 × 40"]
    title = formats.READ[form].title
    assert say("prune.format_only_read", title=title) in visitor.go("prune").words


def test_after_a_bad_file_a_good_one_can_be_opened(visit, network, packed):
    visitor = visit().upload("empty.pt", b"")
    assert len(visitor.errors) == 1
    visitor.upload("mine.safetensors", packed(network(60, 40, 24)))
    assert visitor.errors == []
    assert "mine.safetensors" in visitor.words


def test_words_from_a_file_are_shown_as_they_are(visit):
    text = b"See ![badge](https://example.org/badge.svg) and *stars* <b>bold</b> $x$ :smile:\n" * 3
    visitor = visit().upload("READ*ME*.md", text)
    ((what, _),) = visitor.errors
    assert "READ*ME*.md" in what
    assert "![badge](https://example.org/badge.svg) and *stars*" in what
    drawn = visitor.at.error[0].proto.title
    assert re.findall(r"(?<!\\)[*$!:<[\]]", drawn) == []


def test_a_file_with_marks_in_its_name_is_called_by_its_name(visit, network, packed):
    visitor = visit().upload("my_[best]*net*.npz", packed(network(60, 40, 24), "npz"))
    assert "my_[best]*net*.npz · 2 layers" in visitor.words
    assert "*net*" not in visitor.at.caption[0].value
    assert "*net*" not in visitor.at.segmented_control(key="model_choice").options[-1]


def test_a_file_without_layers_says_so(visit, packed):
    content = packed({"running_mean": np.ones(5, np.float32)})
    visitor = visit().upload("buffers.safetensors", content)
    assert say("verdict.model_empty") in visitor.words
    assert visitor.at.expander[0].proto.expanded  # the reasons are not hidden
    prune = visitor.go("prune")
    assert say("verdict.model_empty") in prune.words
    assert say("prune.empty") in prune.words
    visitor.go("train")


def test_a_layer_with_nan_is_listed_and_the_others_analysed(visit, network, packed):
    tensors = network(60, 40, 24)
    tensors["0.weight"][3, 3] = np.nan
    visitor = visit().upload("diverged.safetensors", packed(tensors))
    assert list(visitor.at.dataframe(key="layer_map").value["name"]) == ["1"]
    reasons = visitor.at.dataframe[1].value[say("explore.column.reason")]
    assert say("skipped.not_finite") in list(reasons)
    assert say("error.weights_not_finite.what", name="0.weight") in visitor.go("prune").words


def test_small_layers_have_a_picture_and_no_law(visit, packed):
    rng = np.random.default_rng(1)
    tensors = {
        "a.weight": rng.standard_normal((10, 8)).astype(np.float32),
        "b.weight": rng.standard_normal((1, 10)).astype(np.float32),
        "c.weight": np.zeros((30, 40), np.float32),
    }
    visitor = visit().upload("small.safetensors", packed(tensors))
    assert say("verdict.model_unfitted", layers=3) in visitor.words
    for layer in ("a", "b", "c"):
        visitor.choose("layer", layer)
        assert say("explore.formula_none") in visitor.words
        assert visitor.spectrum["values"]
    visitor.go("prune")
    for layer in ("a", "b", "c"):
        visitor.choose("layer", layer)
        assert visitor.figure("error-against-rank")["data"]


def test_a_model_that_was_forgotten_is_said_and_a_sample_shown(visit, network, packed):
    visitor = visit().upload("mine.safetensors", packed(network(60, 40, 24)))
    library = session.library()
    library._models.pop(visitor.model)
    visitor.run()
    assert [warning.value for warning in visitor.at.warning] == [say("app.model_gone")]
    assert visitor.model in SAMPLES


def test_the_verdict_is_that_of_the_library(visit, network, packed):
    content = packed(network(60, 40, 24))
    visitor = visit().upload("mine.safetensors", content)
    from rmtviz import analyze

    expected = analyze(formats.read(content), BEMA())
    assert visitor.at.subheader[0].value == verdict.of_model(expected)


def test_long_names_are_told_apart_in_the_tables(visit, packed):
    names = [f"model.layers.{i}.mlp.weight" for i in range(3)]
    noise = np.random.default_rng(0)
    arrays = {name: noise.standard_normal((30, 40)).astype(np.float32) for name in names}
    visitor = visit().upload("deep.npz", packed(arrays, "npz"))
    assert list(visitor.at.dataframe(key="layer_map").value["name"]) == ["0", "1", "2"]
    assert list(visitor.go("prune").at.dataframe(key="cut_map").value["name"]) == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["0", "2", "4"], ["0", "2", "4"]),
        (["fc"], ["fc"]),
        (["a.b.fc"], ["a.b.fc"]),
        (["net.fc1", "net.fc2"], ["fc1", "fc2"]),
        (["net.1.fc", "net.2.fc", "net.2.out"], ["1.fc", "2.fc", "2.out"]),
        (["a", "a.b"], ["a", "a.b"]),
        (["a.a", "a.a.a"], ["a", "a.a"]),
    ],
)
def test_what_names_share_is_left_out(names, short):
    assert list(widgets.short_names(names).values()) == short


def test_another_copy_of_the_weights_is_chosen_beside_the_network(visit, network, packed):
    plain = network(60, 40, 24)
    average = {name: tensor + 0.01 for name, tensor in plain.items()}
    both = plain | {f"ema.{name}": tensor for name, tensor in average.items()}
    visitor = visit().upload("run.safetensors", packed(both))
    first = visitor.model
    assert formats.read(packed(plain)).digest[:8] in visitor.at.caption[0].value
    (choice,) = [each for each in visitor.at.selectbox if each.label == say("app.copy")]
    assert choice.options == ["ema", say("app.copy_plain")]
    choice.set_value("ema")
    visitor.run()
    assert formats.read(packed(average)).digest[:8] in visitor.at.caption[0].value
    assert "run.safetensors (ema)" in visitor.at.segmented_control(key="model_choice").options
    assert visitor.at.query_params["model"] == visitor.model != first
    visitor.choose_by_label(say("app.copy"), "weights")
    assert visitor.model == first
    assert visit().words.count(say("app.copy_plain")) == 0


def test_an_update_is_shown_without_an_edge(visit, packed):
    rng = np.random.default_rng(0)
    pair = {
        "x.lora_A.weight": rng.normal(size=(4, 40)),
        "x.lora_B.weight": rng.normal(size=(50, 4)),
    }
    visitor = visit().upload("lora.safetensors", packed(pair))
    assert visitor.errors == []
    assert say("status.product", rank=4) in visitor.words
    assert visitor.go("prune").errors == []


def test_an_adapter_and_its_settings_are_opened_together_and_cut(visit, packed, downloads):
    rng = np.random.default_rng(0)
    tensors = {
        "base_model.model.q_proj.lora_A.weight": rng.standard_normal((8, 40)).astype(np.float32),
        "base_model.model.q_proj.lora_B.weight": rng.standard_normal((50, 8)).astype(np.float32),
        "base_model.model.v_proj.lora_A.weight": rng.standard_normal((8, 40)).astype(np.float32),
        "base_model.model.v_proj.lora_B.weight": rng.standard_normal((50, 8)).astype(np.float32),
    }
    settings = {"peft_type": "LORA", "r": 8, "lora_alpha": 32, "use_rslora": True}
    visitor = visit()
    visitor.at.file_uploader[0].set_value(
        [
            (peft.WEIGHTS, packed(tensors), ""),
            (peft.SETTINGS, json.dumps(settings).encode(), ""),
            ("README.md", b"# An adapter", ""),
        ]
    )
    visitor.at.run()
    assert visitor.errors == []
    visitor.go("prune")
    visitor.choose("rule", "energy")
    cut = formats.together(
        {
            peft.WEIGHTS: downloads["adapter_model-pruned.safetensors"](),
            peft.SETTINGS: downloads[peft.SETTINGS](),
        }
    )
    ranks = {tensor.shape[0] for name, tensor in cut.tensors.items() if "lora_A" in name}
    assert min(ranks) < 8
    scales = [layer.scale for layer in layers.find(cut)[0]]
    assert scales == pytest.approx([32 / 8**0.5] * 2)


@pytest.mark.parametrize("name", ["trained.pt", "learnt.pkl", "jax.onnx"])
def test_files_as_people_have_them_are_opened_on_every_page(visit, capsys, name):
    content, expected = FILES[name]
    visitor = visit().upload(name, content)
    assert visitor.errors == []
    shapes = [f"{rows} × {columns}" for rows, columns in expected.values()]
    assert list(visitor.at.dataframe(key="layer_map").value["shape"]) == shapes
    assert "ran\n" not in capsys.readouterr().out
    assert visitor.go("prune").errors == []


def test_a_zip_that_lacks_a_shard_names_it(visit, packed):
    index = {"weight_map": {"a.weight": "1.safetensors", "b.weight": "2.safetensors"}}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("m/model.safetensors.index.json", json.dumps(index))
        file.writestr("m/1.safetensors", packed({"a.weight": np.ones((30, 40), np.float32)}))
    visitor = visit().upload("model.zip", buffer.getvalue())
    ((what, do),) = visitor.errors
    assert "2.safetensors" in what
    assert do == say("error.shard_missing.do")


def test_a_quantised_graph_says_so_and_its_cut_is_downloaded(visit, downloads):
    rng = np.random.default_rng(0)
    parts = {
        "fc.weight_quantized": rng.integers(-99, 99, (60, 40)).astype(np.int8),
        "fc.weight_scale": np.full(60, 0.01, np.float32),
        "out.weight": rng.standard_normal((10, 60)).astype(np.float32),
    }
    node, value = helper.make_node, helper.make_tensor_value_info
    nodes = [
        node("DequantizeLinear", ["fc.weight_quantized", "fc.weight_scale"], ["w"], axis=0),
        node("Gemm", ["x", "w"], ["h"], transB=1),
        node("Gemm", ["h", "out.weight"], ["y"], transB=1),
    ]
    ends = [value("x", 1, ["n", 40]), value("y", 1, ["n", 10])]
    held = [numpy_helper.from_array(array, name) for name, array in parts.items()]
    made = helper.make_graph(nodes, "g", ends[:1], ends[1:], held)
    content = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()
    visitor = visit().upload("int8.onnx", content)
    assert visitor.errors == []
    visitor.choose("layer", "fc")
    assert say("verdict.coded", codes="int8") in visitor.words
    visitor.go("prune")
    visitor.choose("rule", "energy")
    cut = formats.read(downloads["int8-pruned.onnx"]())
    assert {x.name: x.codes for x in layers.find(cut)[0]} == {"fc": "", "out": ""}
