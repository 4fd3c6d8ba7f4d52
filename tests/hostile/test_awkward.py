"""What people drop on the page that is no file of weights, or not only: each is told what it is.

Every one ends in a checkpoint or in a refusal of one sentence and one way out, by its content
and not by its name, also in a process of its own.
"""

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections import OrderedDict

import numpy as np
import pytest

from rmtviz import formats
from rmtviz.errors import FileRefused
from tests.hostile.making import (
    FOUR,
    GOOD,
    SMALL,
    Call,
    Part,
    archive,
    hdf5_file,
    pickled,
    tensor,
    torch_file,
)

SAVED = SMALL["pytorch"]


def tar(content: bytes, mode: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as file:
        entry = tarfile.TarInfo("model/weights.pt")
        entry.size = len(content)
        file.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def folder(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(f"model/{name}", content)
    return buffer.getvalue()


def notebook() -> bytes:
    return json.dumps({"cells": [], "metadata": {}, "nbformat": 4}).encode()


JOBLIB = (
    b"\x80\x04\x95\x63\0\0\0\0\0\0\0\x8c\x13joblib.numpy_pickle\x94\x8c\x11NumpyArrayWrapper\x94"
    b"\x93\x94)\x81\x94}\x94\x8c\x05shape\x94K\x04\x85\x94sb." + FOUR
)
MSGPACK = (
    b"\x81\xa6params\x81\xa5Dense\x81\xa6kernel\xc7\x1a\x01\x93\x92\x02\x02\xa7float32\xc4\x10"
)

FILES: dict[str, tuple[bytes, str]] = {
    # Downloads that went wrong.
    "empty.pt": (b"", "is_empty"),
    "page.pt": (b"<!DOCTYPE html>\n<html><title>404</title></html>", "is_html"),
    "page.bin": (b'<?xml version="1.0"?>\n<!DOCTYPE html><html></html>', "is_html"),
    "denied.safetensors": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>", "is_xml"),
    "answer.safetensors": (b'{"error": "Repository not found"}', "is_json"),
    "pointer.safetensors": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n",
        "is_lfs",
    ),
    "zeros.pt": (bytes(5000), "is_zeros"),
    "half.pt": (SAVED[: len(SAVED) // 2], "file_cut"),
    "half.safetensors": (SMALL["safetensors"][:-8], "file_cut"),
    "._model.pt": (b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(99), "is_companion"),
    ".DS_Store": (b"\0\0\0\1Bud1\0\0\x10\0" + bytes(99), "is_companion"),
    "model.pt.lnk": (b"L\0\0\0\1\x14\2\0" + bytes(99), "is_companion"),
    "message.txt": ("not found".encode("utf-16"), "is_text"),
    "config.json": ('{"hidden_size": 768}'.encode("utf-16"), "is_json"),
    "settings.json": (b'\xef\xbb\xbf\r\n{"model_type": "bert"}', "is_settings"),
    # Weights in a wrapping.
    "model.pt.gz": (gzip.compress(SAVED), "is_compressed"),
    "model.pt.bz2": (bz2.compress(SAVED), "is_compressed"),
    "model.pt.xz": (lzma.compress(SAVED), "is_compressed"),
    "model.pt.lz4": (b"\x04\x22\x4d\x18\x64\x40\xa7" + bytes(9), "is_compressed"),
    "model.tar.gz": (tar(SAVED, "w:gz"), "is_compressed"),
    "model.tar": (tar(SAVED, "w"), "is_tar"),
    "model.7z": (b"7z\xbc\xaf\x27\x1c\0\4", "is_compressed"),
    "model.rar": (b"Rar!\x1a\7\1\0", "is_compressed"),
    "folder.zip": (folder(**{"weights.safetensors": SMALL["safetensors"]}), "read"),
    "empty.zip": (archive(), "is_zip"),
    "locked.zip": (archive(Part("w.npy", b"secret", flags=1)), "zip_encrypted"),
    "split.z01": (b"PK\7\x08PK\3\4" + bytes(99), "is_split"),
    "inner.zip": (folder(**{"model.zip": folder(**{"w.pt": SAVED})}), "is_zip"),
    "several.zip": (folder(**{"a.pt": SAVED, "b.pt": SAVED}), "folder_several"),
    "app.mlpackage.zip": (
        folder(**{"Data/com.apple.CoreML/weights/weight.bin": FOUR}),
        "is_zip",
    ),
    "letter.docx": (folder(**{"[Content_Types].xml": b"<Types/>"}), "is_zip"),
    # Weights in formats of others.
    "model.tflite": (b"\x1c\0\0\0TFL3" + bytes(99), "is_tflite"),
    "saved_model.pb": (
        b"\x08\x01\x12\xd0\xd0\x03\n\x8e\x93\x02\x12\xb1\x85\x02stripped_op_list",
        "is_saved_model",
    ),
    "model.ckpt.index": (bytes(range(99)) + b"\x57\xfb\x80\x8b\x24\x75\x47\xdb", "is_checkpoint"),
    "model.ckpt.data-00000-of-00001": (FOUR * 9 + b"\xff", "is_checkpoint"),
    "checkpoint": (b'model_checkpoint_path: "model.ckpt"\n', "is_checkpoint"),
    "half.gguf": (b"GGUF\3\0\0\0\2\0\0\0", "file_cut"),
    "model.mlmodel": (b"\x08\x05\x12\xe5\x01\n\xff\xfe", "is_coreml"),
    "model.engine": (b"ptrt\0\0\0\1\xff" + bytes(99), "is_engine"),
    "params.msgpack": (MSGPACK, "is_msgpack"),
    "yolo.weights": (struct.pack("<3iq", 0, 2, 5, 32013312) + FOUR, "is_darknet"),
    "old.bin": (b"lmgg" + bytes(99), "is_ggml"),
    "net.params": (struct.pack("<QQ", 0x112, 0) + bytes(99), "is_mxnet"),
    "net.xml": (b'<?xml version="1.0"?>\n<net name="m" version="11">', "is_xml"),
    "file.mat": (b"MATLAB 5.0 MAT-file, Platform: GLNXA64".ljust(128) + FOUR, "is_mat"),
    "old.mat": (struct.pack("<5i", 0, 30, 40, 0, 2) + b"W\0" + bytes(16) + FOUR, "is_mat"),
    "new.mat": (
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + hdf5_file({"w": np.ones(3)}),
        "is_mat",
    ),
    # Python's objects.
    "forest.joblib": (JOBLIB, "is_joblib"),
    "forest.joblib.z": (zlib.compress(JOBLIB), "is_joblib"),
    "scaler.pkl": (pickle.dumps({"mean": [1.0, 2.0]}), "is_pickle"),
    "old.pkl": (pickle.dumps({"mean": 1.0}, 0), "is_old_pickle"),
    "class.pkl": (b"ccopy_reg\n_reconstructor\np0\n(c__main__\nNet\n", "is_old_pickle"),
    "objects.npy": (SMALL["npy"].replace(b"<f4", b"|O "), "npz_objects"),
    "arrays.pkl": (pickle.dumps({"w": np.ones((2, 2))}), "read"),
    "python2.pt": (torch_file(pickled(Call(OrderedDict, [["w", tensor()]])), _0=FOUR), "read"),
    "optimizer.pt": (torch_file(pickled({"optimizer": {"m": tensor()}}), _0=FOUR), "no_tensor"),
    "wrong.ending.csv": (torch_file(GOOD, _0=FOUR), "read"),
    # What was never meant.
    "index.json": (b'{"weight_map": {"a": "model-00001.safetensors"}}', "is_index"),
    "notebook.ipynb": (notebook(), "is_json"),
    "train.py": (b"import torch\n\nmodel = torch.nn.Linear(2, 2)\n", "is_text"),
    "table.csv": (b"w1,w2\n0.5,0.25\n", "is_text"),
    "table.parquet": (b"PAR1\x15\4" + bytes(99), "is_table"),
    "picture.png": (b"\x89PNG\r\n\x1a\n" + bytes(99), "is_image"),
    "paper.pdf": (b"%PDF-1.7\n%\xe2\xe3", "is_image"),
    "setup.exe": (b"MZ\x90\0\3\0\0\0" + bytes(99), "is_program"),
    "libmodel.so": (b"\x7fELF\2\1\1" + bytes(99), "is_program"),
    "noise.bin": (np.random.default_rng(3).bytes(4000), "is_unknown"),
}


READ = [name for name, (_, key) in FILES.items() if key == "read"]


@pytest.mark.parametrize("name", sorted(FILES.keys() - READ))
def test_each_is_told_what_it_is(name):
    content, key = FILES[name]
    with pytest.raises(FileRefused) as caught:
        formats.read(content, name, apart=True)
    refusal = caught.value
    assert refusal.key == key
    assert name in refusal.what
    assert refusal.what.count("\n") == refusal.do.count("\n") == 0
    assert len(refusal.what) < 400
    assert len(refusal.do) < 300


@pytest.mark.parametrize("name", READ)
def test_weights_in_an_odd_file_are_read(name):
    checkpoint = formats.read(FILES[name][0], name, apart=True)
    assert all(tensor.read().size for tensor in checkpoint.tensors.values())
