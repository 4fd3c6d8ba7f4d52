"""PyTorch's old files, programs of torch.export, arrays in pickles: read as torch reads them."""

import io
import pickle
import zipfile

import ml_dtypes
import numpy as np
import pytest
import torch

from rmtviz import formats
from rmtviz.checkpoint import Checkpoint


def legacy(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))


DTYPES = [torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64]


class TestLegacy:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_number_types(self, dtype):
        value = torch.arange(6).reshape(2, 3).to(dtype)
        assert formats.read(legacy({"w": value})).digest == Checkpoint.of({"w": value}).digest

    def test_views_and_shared_storages(self):
        whole = torch.arange(24.0).reshape(4, 6)
        state = {"whole": whole, "part": whole[1:3, ::2], "turned": whole.T}
        assert formats.read(legacy(state)).digest == Checkpoint.of(state).digest

    def test_a_training_checkpoint_and_a_whole_module(self):
        module = network()
        optimizer = torch.optim.Adam(module.parameters())
        module(torch.ones(1, 5)).sum().backward()
        optimizer.step()
        state = {"model": module.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}
        expected = Checkpoint.of(module.state_dict()).digest
        assert formats.read(legacy(state)).digest == expected
        assert formats.read(legacy(module)).digest == expected

    def test_storages_that_were_saved_on_a_graphics_card(self):
        content = legacy({"w": torch.ones(2, 3)})
        tagged = content.replace(b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:0")
        tagged = tagged.replace(b"ctorch\nFloatStorage", b"ctorch.cuda\nFloatStorage")
        assert tagged.count(b"cuda") == 2
        np.testing.assert_array_equal(formats.read(tagged)["w"], np.ones((2, 3)))

    def test_a_file_on_disk_is_read_in_part(self, tmp_path):
        path = tmp_path / "old.pt"
        path.write_bytes(legacy(network().state_dict()))
        assert formats.read(path).digest == Checkpoint.of(network().state_dict()).digest


class TestArrays:
    @pytest.mark.parametrize("protocol", range(2, 6))
    @pytest.mark.parametrize("dtype", ["<f4", ">f8", "f2", "i1", "?", "c16", ml_dtypes.bfloat16])
    def test_in_a_plain_pickle(self, protocol, dtype):
        array = np.arange(6).reshape(2, 3).astype(dtype)
        for each in (array, np.asfortranarray(array)):
            found = formats.read(pickle.dumps({"w": each}, protocol))["w"]
            np.testing.assert_array_equal(found, array)

    def test_beside_weights_in_a_file_of_torch(self):
        buffer = io.BytesIO()
        torch.save({"w": torch.eye(2), "array": np.eye(3)}, buffer)
        assert set(formats.read(buffer.getvalue())) == {"w", "array"}

    def test_tensors_in_a_plain_pickle(self):
        state = network().state_dict()
        assert formats.read(pickle.dumps(state)).digest == Checkpoint.of(state).digest


class TestExported:
    def test_the_weights_of_a_program(self):
        module = network()
        buffer = io.BytesIO()
        torch.export.save(torch.export.export(module, (torch.ones(1, 5),)), buffer)
        checkpoint = formats.read(buffer.getvalue(), "net.pt2")
        assert checkpoint.digest == Checkpoint.of(module.state_dict()).digest

    def test_an_old_file_keeps_the_state_dict_of_torch(self):
        state, buffer = io.BytesIO(), io.BytesIO()
        torch.save(network().state_dict(), state)
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("serialized_exported_program.json", "{}")
            archive.writestr("serialized_state_dict.pt", state.getvalue())
        assert (
            formats.read(buffer.getvalue()).digest == Checkpoint.of(network().state_dict()).digest
        )
