"""A network in several files: a folder, an index, files given together."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rmtviz import formats
from rmtviz.checkpoint import Checkpoint
from rmtviz.errors import FileRefused

WHOLE = {f"{n}.weight": np.full((3, 2), n, "f4") for n in range(4)}
NAMES = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def shards() -> dict[str, bytes]:
    parts = [dict(list(WHOLE.items())[start : start + 2]) for start in (0, 2)]
    return {
        name: formats.write(Checkpoint.of(part), "safetensors")
        for name, part in zip(NAMES, parts, strict=True)
    }


def index(**other: str) -> bytes:
    listed = {name: NAMES[number // 2] for number, name in enumerate(WHOLE)}
    return json.dumps({"metadata": {}, "weight_map": {**listed, **other}}).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in shards().items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "model.safetensors.index.json").write_bytes(index())
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def test_a_folder_and_its_index_are_the_whole_network(folder):
    expected = Checkpoint.of(WHOLE).digest
    assert formats.read(folder).digest == expected
    assert formats.read(folder / "model.safetensors.index.json").digest == expected


@pytest.mark.parametrize("extra", [{}, {"model.safetensors.index.json": index()}])
def test_files_given_together(extra):
    files = {**shards(), "config.json": b"{}", **extra}
    assert formats.together(files).digest == Checkpoint.of(WHOLE).digest


@pytest.mark.parametrize("beside", [{}, {"README.md": b"# A model\n", "vocab.txt": b"[PAD]\n"}])
def test_settings_without_weights_say_what_they_are(beside):
    files = {**beside, "config.json": b'{\n  "model_type": "bert",\n  "n_head": 12\n}'}
    with pytest.raises(FileRefused) as caught:
        formats.together(files)
    assert (caught.value.key, caught.value.values["source"]) == ("is_settings", "config.json")
    found = formats.together({**files, **shards()})  # what it says to do works
    assert found.digest == Checkpoint.of(WHOLE).digest
    assert found.about["heads"] == {"count": 12, "shared": 12, "each": False}


def test_one_file_given_is_that_file():
    name, content = next(iter(shards().items()))
    assert formats.together({name: content}).source == name


def test_a_missing_shard_is_named(folder):
    (folder / NAMES[1]).unlink()
    with pytest.raises(FileRefused, match=NAMES[1]):
        formats.read(folder)
    files = {NAMES[0]: shards()[NAMES[0]], "m.index.json": index()}
    with pytest.raises(FileRefused, match=NAMES[1]) as caught:
        formats.together(files)
    assert caught.value.key == "shard_missing"


@pytest.mark.parametrize("path", ["../secret.safetensors", "/etc/passwd", "a\\b", "", ".."])
def test_a_path_in_an_index_is_not_followed(folder, path):
    (folder / "model.safetensors.index.json").write_bytes(index(x=path))
    with pytest.raises(FileRefused) as caught:
        formats.read(folder)
    assert caught.value.key == "shard_path"


def test_a_tensor_in_two_files_is_refused():
    content = shards()[NAMES[0]]
    with pytest.raises(FileRefused) as caught:
        formats.together({"a.safetensors": content, "b.safetensors": content})
    assert caught.value.key == "name_twice"


@pytest.mark.parametrize("text", [b"", b"[" * 10**5, b"[]", b'{"weight_map": {"a": 1}}'])
def test_an_index_that_is_none(text):
    with pytest.raises(FileRefused) as caught:
        formats.together({**shards(), "m.index.json": text})
    assert caught.value.key == "is_json"


def test_a_folder_with_one_file_none_or_several(tmp_path):
    with pytest.raises(FileRefused) as caught:
        formats.read(tmp_path)
    assert caught.value.key == "file_folder"
    content = shards()[NAMES[0]]
    (tmp_path / "a.safetensors").write_bytes(content)
    (tmp_path / "b.npz").write_bytes(b"not looked at")
    assert len(formats.read(tmp_path)) == 2
    (tmp_path / "b.safetensors").write_bytes(content)
    with pytest.raises(FileRefused) as caught:
        formats.read(tmp_path)
    assert caught.value.key == "folder_several"


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return buffer.getvalue()


EXTRA = {
    "m/config.json": b"{}",
    "m/README.md": b"# A model",
    "m/optimizer.pt": b"no weights",
    "m/onnx/model.onnx": b"deeper, and not the network",
    "__MACOSX/m/._model.safetensors": b"\0\5\x16\7",
}


def test_a_zip_of_a_folder_is_the_network():
    whole = {f"m/{name}": content for name, content in shards().items()}
    listed = {**whole, "m/model.safetensors.index.json": index(), **EXTRA}
    one = {"m/model.safetensors": formats.write(Checkpoint.of(WHOLE), "safetensors"), **EXTRA}
    for files in (listed, one):
        found = formats.read(zipped(files), "model.zip", apart=True)
        assert (found.digest, found.source) == (Checkpoint.of(WHOLE).digest, "model.zip")


@pytest.mark.parametrize(
    ("files", "key"),
    [
        ({"m/model.safetensors.index.json": index(), f"m/{NAMES[0]}": b""}, "is_empty"),
        ({"model.safetensors.index.json": index(), NAMES[0]: shards()[NAMES[0]]}, "shard_missing"),
        ({"m/model.safetensors.index.json": b"[1]"}, "is_json"),
        ({"a/w.npz": b"", "b/w.npz": b""}, "folder_several"),
        (shards(), "folder_several"),
        ({"inner.zip": zipped(shards())}, "is_zip"),
        ({"model.pt": zipped({"model.pt": zipped(shards())})}, "is_zip"),
    ],
)
def test_a_zip_that_is_no_network_says_why(files, key):
    with pytest.raises(FileRefused) as caught:
        formats.read(zipped(files), "model.zip", apart=True)
    assert caught.value.key == key


def test_a_zip_with_a_bomb_in_it_is_refused():
    bomb = zipped({"model.safetensors": bytes(2**29)})
    with pytest.raises(FileRefused) as caught:
        formats.read(bomb, "model.zip")
    assert caught.value.key == "limit_growth"


def test_what_lies_in_a_folder_beside_the_weights_is_passed_over(folder):
    (folder / "model.safetensors.index.json").unlink()
    for name in NAMES:
        (folder / name).unlink()
    (folder / "training_args.bin").write_bytes(b"PK\3\4")
    (folder / "optimizer.bin").write_bytes(b"PK\3\4")
    (folder / "pytorch_model.bin").write_bytes(formats.write(Checkpoint.of(WHOLE), "pytorch"))
    assert formats.read(folder).digest == Checkpoint.of(WHOLE).digest
    given = {path.name: path for path in folder.iterdir()} | {"vocab.txt": b"a b"}
    assert formats.together(given).digest == Checkpoint.of(WHOLE).digest
