"""Broken and hostile PyTorch files, zipped and from before version 1.6."""

import os
import pickle
import struct

import numpy as np
import pytest
import torch

from rmtviz import formats
from tests.hostile.making import (
    BOMB,
    FOUR,
    GOOD,
    MEGABYTE,
    RAN,
    SMALL,
    Call,
    Part,
    archive,
    deflated,
    legacy_file,
    memory_below,
    outcome,
    pickled,
    refused,
    tensor,
    torch_file,
    zeros,
)


class TestPyTorch:
    def test_the_file_by_hand_is_good(self):
        assert formats.read(SMALL["by hand"])["w"].tolist() == [[0, 1], [2, 3]]

    @pytest.mark.parametrize(
        ("wrong", "key"),
        [
            (tensor(offset=1), "tensor_bounds"),
            (tensor(offset=-1), "tensor_bounds"),
            (tensor(offset=2**70), "tensor_bounds"),
            (tensor(strides=(3, 1)), "tensor_bounds"),
            (tensor(strides=(-2, 1)), "tensor_bounds"),
            (tensor(strides=(2,)), "tensor_bounds"),
            (tensor(strides=(2**62, 2**62)), "tensor_bounds"),
            (tensor(strides=("2", 1)), "tensor_bounds"),
            (tensor(shape=(3, 2)), "tensor_bounds"),
            (tensor(shape=(-1, 2)), "tensor_shape"),
            (tensor(shape=(True, 2)), "tensor_shape"),
            (tensor(shape=(None, 2)), "tensor_shape"),
            (tensor(shape=(10**5000, 2)), "tensor_shape"),
            (tensor(shape=(0, 2**62, 2**62), strides=(0, 0, 0)), "tensor_shape"),
            (tensor(shape=(1,) * 65, strides=(0,) * 65), "tensor_shape"),
            (tensor(shape=(2**20, 2**20), strides=(0, 0)), "limit_growth"),
            (tensor(shape=(2**15, 2**15), strides=(0, 0)), "limit_growth"),
            (tensor(count=5), "pytorch_storage"),
            (tensor(count=10**5000), "pytorch_storage"),
            (tensor(count=3), "tensor_bounds"),
            (tensor(count=-3), "tensor_bounds"),
            (tensor(count="4"), "pytorch_tensor"),
            (tensor(key="1"), "pytorch_storage"),
            (tensor(key="../data.pkl"), "pytorch_storage"),
            (tensor(kind=torch.DoubleStorage), "pytorch_storage"),
            (tensor(kind="FloatStorage"), "pytorch_tensor"),
            (tensor(kind=os.system), "no_tensor"),
            (tensor(shape=4, strides=1), "pytorch_tensor"),
            (Call(torch._utils._rebuild_tensor_v2), "pytorch_tensor"),
            (Call(torch._utils._rebuild_parameter), "no_tensor"),
            (Call(torch._utils._rebuild_tensor_v2, 1, 0, (), ()), "pytorch_tensor"),
        ],
    )
    def test_tensors_that_do_not_fit_their_storage(self, wrong, key):
        assert refused(torch_file(pickled({"w": wrong}), _0=FOUR)) == key

    def test_strides_of_sides_of_one_mean_nothing(self):
        odd = tensor(shape=(1, 4, 1), strides=(2**62, 1, 2**70 >> 8))
        checkpoint = formats.read(torch_file(pickled({"w": odd}), _0=FOUR))
        assert checkpoint["w"].reshape(-1).tolist() == [0, 1, 2, 3]

    def test_byte_orders(self):
        parts = [Part("x/data.pkl", GOOD), Part("x/data/0", FOUR)]
        for order in (b"middle", b"", b"little\n"):
            assert refused(archive(*parts, Part("x/byteorder", order))) == "pytorch_order"

    def test_a_storage_that_inflates_to_something_else(self):
        def with_storage(**lies: object) -> bytes:
            return archive(Part("x/data.pkl", GOOD), Part("x/data/0", FOUR, **lies))

        good = with_storage(packed=deflated(FOUR))
        assert outcome(good) == formats.read(SMALL["by hand"]).digest
        assert refused(with_storage(packed=deflated(FOUR + FOUR))) == "zip_damaged"
        assert refused(with_storage(packed=deflated(FOUR[:-1]))) == "zip_damaged"
        assert refused(with_storage(packed=b"\xff" * 16)) == "zip_damaged"
        assert refused(with_storage(packed=b"")) == "zip_damaged"

    def test_a_bomb_in_the_pickle(self):
        with memory_below(20 * MEGABYTE):
            assert (
                refused(archive(Part("x/data.pkl", b"", zeros(200), BOMB, crc=0))) == "limit_header"
            )

    def test_a_bomb_in_a_storage(self):
        count = BOMB // 4
        bomb = Part("x/data/0", b"", zeros(200), BOMB, crc=0)
        value = {"w": tensor(shape=(count,), strides=(1,), count=count)}
        small = {"w": tensor(offset=count - 1, shape=(1,), strides=(1,), count=count)}
        for content in (value, small):
            with memory_below(20 * MEGABYTE):
                assert (
                    refused(archive(Part("x/data.pkl", pickled(content)), bomb)) == "limit_growth"
                )

    def test_a_bomb_whose_size_is_a_lie(self):
        packed = zeros(8)
        for length in (4, 16, 1000):
            part = Part("x/data/0", b"", packed=packed, length=length, crc=0)
            with memory_below(20 * MEGABYTE):
                assert outcome(archive(Part("x/data.pkl", GOOD), part)) != ""
            part = Part("x/data.pkl", b"", packed=packed, length=length, crc=0)
            with memory_below(20 * MEGABYTE):
                assert refused(archive(part)) == "zip_damaged"


class TestLegacy:
    """Files of torch from before 1.6, and plain pickles."""

    def test_a_storage_that_lies_about_its_length(self):
        content = legacy_file({"w": torch.ones(2)})
        assert content[-16:] == struct.pack("<q2f", 2, 1, 1)
        for count in (1, 3, -1, 2**62):
            lying = content[:-16] + struct.pack("<q", count) + content[-8:]
            assert refused(lying) in ("file_cut", "pytorch_storage", "tensor_bounds")

    @pytest.mark.parametrize("wrong", ["magic", "version"])
    def test_another_beginning(self, wrong):
        content = legacy_file({"w": torch.ones(2)})
        old, new = {"magic": (b"\x50\x19", b"\x51\x19"), "version": (b"M\xe9\3", b"M\xe8\3")}[wrong]
        assert refused(content.replace(old, new, 1)) in ("pickle_damaged", "is_pickle")

    def test_arrays_are_read_and_the_trap_beside_them_is_not_sprung(self):
        RAN.clear()
        trap = Call(RAN.append, "sprung")
        for protocol in (2, 3, 4, 5):
            checkpoint = formats.read(pickle.dumps({"w": np.eye(2), "t": trap}, protocol))
            np.testing.assert_array_equal(checkpoint["w"], np.eye(2))
        assert not RAN

    def test_an_array_whose_bytes_are_too_few(self):
        content = pickle.dumps({"w": np.eye(2)})
        assert refused(content.replace(b"K\2K\2", b"K\2K\3")) == "tensor_bounds"
