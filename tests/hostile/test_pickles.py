"""Hostile pickles: whatever they ask to be run is written down and never run."""

import contextlib
import os
import pickle
import struct
import time

import pytest
import torch

from rmtviz import formats
from rmtviz.formats import Limits
from tests.hostile.making import (
    FOUR,
    MEGABYTE,
    RAN,
    Attributes,
    Call,
    memory_below,
    outcome,
    pickled,
    refused,
    tensor,
    torch_file,
)


class TestNothingRuns:
    """Pickles that run code where they are loaded: here their calls are written down."""

    def test_calls_of_os_system(self, tmp_path):
        trace = tmp_path / "ran"
        command = f"echo ran > '{trace}'".encode()
        text = b"X" + struct.pack("<I", len(command)) + command
        programs = {
            "GLOBAL, REDUCE": b"\x80\x02cos\nsystem\n(" + text + b"tR.",
            "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93" + text + b"\x85R.",
            "INST": b"(" + text + b"ios\nsystem\n.",
            "OBJ": b"(cos\nsystem\n" + text + b"o.",
            "getattr": b"cbuiltins\ngetattr\n(cos\n__dict__\nX\x03\0\0\0gettR" + b".",
            "eval": b"cbuiltins\neval\n(X\x0f\0\0\0__import__('o')tR.",
            "in a state": b"ccollections\nOrderedDict\n)R}X\x01\0\0\0acos\nsystem\n"
            + text
            + b"\x85Rsb.",
            "in a key": b"}cos\nsystem\n" + text + b"\x85RK\x01s.",
            "in a storage": b"cos\nsystem\n" + text + b"\x85RQ.",
        }
        for title, program in programs.items():
            runs = title in ("GLOBAL, REDUCE", "STACK_GLOBAL", "INST", "OBJ", "in a state")
            if runs:
                pickle.loads(program)
                assert trace.exists(), "the pickle is harmless, so it shows nothing"
                trace.unlink()
            assert refused(torch_file(program)) == "no_tensor", title
            assert not trace.exists()

    def test_weights_beside_a_call_are_read(self, tmp_path):
        trace = tmp_path / "ran"
        value = {"w": tensor(), "callback": Call(os.system, f"touch '{trace}'")}
        checkpoint = formats.read(torch_file(pickled(value), _0=FOUR))
        assert checkpoint["w"].tolist() == [[0, 1], [2, 3]]
        assert [skipped.name for skipped in checkpoint.left_out] == ["callback"]
        assert not trace.exists()

    def test_objects_whose_classes_would_run_code(self):
        trap = f"{Trap.__module__}\n{Trap.__name__}\n".encode()
        programs = {
            "NEWOBJ": b"\x80\x02c" + trap + b")\x81.",
            "NEWOBJ_EX": b"\x80\x04c" + trap + b")}\x92.",
            "REDUCE": b"\x80\x02c" + trap + b")R.",
            "BUILD": b"\x80\x02c" + trap + b")\x81}b.",
            "BUILD, slots": b"\x80\x02c" + trap + b")\x81N}\x86b.",
            "APPEND": b"\x80\x02c" + trap + b")\x81K\x01a.",
            "APPENDS": b"\x80\x02c" + trap + b")\x81(K\x01K\x02e.",
            "SETITEM": b"\x80\x02c" + trap + b")\x81K\x01K\x02s.",
            "ADDITEMS": b"\x80\x04c" + trap + b")\x81(K\x01\x90.",
            "hashed": b"\x80\x04}c" + trap + b")\x81K\x01s.",
        }
        for title, program in programs.items():
            RAN.clear()
            with contextlib.suppress(Harm, TypeError):
                pickle.loads(program)
            assert RAN, title
            RAN.clear()
            assert refused(torch_file(program)) == "no_tensor", title
            assert not RAN, title

    def test_a_tensor_rebuilt_by_a_function_of_the_file(self):
        harm = Call(torch._tensor._rebuild_from_type_v2, os.abort, object, (), {})
        content = torch_file(pickled({"w": tensor(), "harm": harm}), _0=FOUR)
        assert list(formats.read(content)) == ["w"]


class Harm(Exception):
    """Code of the file has run."""


class Trap:
    """Every way in which unpickling can enter a class, sprung."""

    def _spring(self, *args: object, **kwargs: object) -> None:
        RAN.append("sprung")
        raise Harm

    def __new__(cls, *args: object, **kwargs: object):
        RAN.append("made")
        return object.__new__(cls)

    __init__ = __setstate__ = __setitem__ = __setattr__ = __hash__ = _spring
    append = extend = add = __call__ = __reduce_ex__ = _spring


class TestPickles:
    """Pickles that are broken, or built to take memory and time."""

    @pytest.mark.parametrize(
        "program",
        [
            b"",
            b".",
            b"\x80\x02",
            b"\x80\x02K\x01",
            b"N(.",
            b"0.",
            b"(((1.",
            b"t.",
            b"R.",
            b"h\x07.",
            b"K\x01K\x02a.",
            b"}(K\x01u.",
            b"K\x01\x93.",
            b"]]\x93.",
            b"\x97.",
            b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
            b"\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
            b"\x8b\xff\xff\xff\x7fabc.",
            b"I" + b"9" * 5000 + b"\n.",
            b"Fnumber\n.",
            b"S'\\q'\n(u.",
            b"Vhalf \\ud800\n(u.",
            b"\xff.",
        ],
    )
    def test_broken(self, program):
        assert refused(torch_file(program)) == "pickle_damaged"

    def test_nothing_is_allocated_on_a_pickles_word(self):
        programs = [
            b"\x80\x02Nr\xff\xff\xff\xff.",
            b"\x80\x02Np4294967295\n.",
            b"\x80\x05\x96\x00\x00\x00\x00\x10\x00\x00\x00.",
            b"\x80\x05\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        ]
        for program in programs:
            with memory_below(4 * MEGABYTE):
                outcome(torch_file(program))

    def test_groups_that_double_at_each_level(self):
        lists = b"](K\x01K\x02e" + b"".join(b"q%c](h%ch%ce" % (k, k, k) for k in range(100))
        tuples = b"K\x01\x85" + b"".join(b"q%c0h%ch%c\x86" % (k, k, k) for k in range(100))
        objects = b"ca\nb\n)R" + b"".join(
            b"q%c0ca\nb\n)\x81}(X\1\0\0\0ah%cX\1\0\0\0bh%cub" % (k, k, k) for k in range(90)
        )
        for program in (lists, tuples, b"}" + tuples + b"K\x01s", objects):
            start = time.process_time()
            assert refused(torch_file(b"\x80\x02" + program + b".")) == "no_tensor"
            assert time.process_time() - start < 2

    def test_tensors_that_double_at_each_level(self):
        for wrap in (lambda v: {"a": v, "b": v}, lambda v: [v, v], lambda v: Attributes(a=v, b=v)):
            value = tensor()
            for _ in range(40):
                value = wrap(value)
            content = torch_file(pickled(value), _0=FOUR)
            assert refused(content, limits=Limits(tensors=1000)) == "limit_tensors"

    def test_a_group_that_holds_itself(self):
        ring: dict[str, object] = {"w": tensor()}
        ring["self"] = ring
        ring["list"] = [ring]
        ring["object"] = Attributes(parent=ring, w=tensor())
        checkpoint = formats.read(torch_file(pickled(ring), _0=FOUR))
        assert set(checkpoint) == {"w", "object.w"}

    def test_deep_nesting(self):
        for opening in (b"]", b"}K\x01", b"ca\nb\n"):
            closing = {b"]": b"a", b"}K\x01": b"s", b"ca\nb\n": b"\x85R"}[opening]
            program = opening * 20_000 + b"N" + closing * 20_000 + b"."
            assert refused(torch_file(program)) == "limit_depth"

    def test_modules_within_parameters(self):
        opening = b"ca\nb\n)\x81}X\x08\0\0\0_modules}sX\x0b\0\0\0_parameters"
        program = b"\x80\x02" + opening * 20_000 + b"}" + b"sb" * 20_000 + b"."
        assert refused(torch_file(program)) in ("limit_depth", "no_tensor")

    def test_states_within_states(self):
        program = b"\x80\x02" + b"ca\nb\n)\x81" * 20_000 + b"N" + b"b" * 20_000 + b"."
        assert refused(torch_file(program)) in ("limit_depth", "no_tensor")

    def test_a_state_that_is_a_tuple(self):
        content = pickled([tensor(), tensor()])[2:-1]
        program = b"\x80\x02ca\nb\n)\x81" + content + b"b."
        checkpoint = formats.read(torch_file(program, _0=FOUR))
        assert list(checkpoint) == ["0", "1"]

    def test_too_many_steps(self):
        content = torch_file(b"\x80\x02" + b"N0" * 600 + b"N.")
        assert refused(content, limits=Limits(steps=1000)) == "limit_steps"

    def test_keys_of_every_kind(self):
        keys = [None, b"bytes", (1, (2, 3)), 1.5, True, 10**5000, "text", frozenset([1]), ""]
        content = torch_file(pickled({key: tensor() for key in keys}), _0=FOUR)
        assert len(formats.read(content)) == len(keys)

    def test_half_a_character_in_a_name(self):
        assert refused(torch_file(pickled({"half \ud800": tensor()}), _0=FOUR)) == "name_broken"

    def test_half_a_character_in_what_is_left_out(self):
        value = {"half \ud800": 1, "w": tensor()}
        checkpoint = formats.read(torch_file(pickled(value), _0=FOUR))
        assert [skipped.name for skipped in checkpoint.left_out] == ["half ?"]

    def test_two_tensors_of_one_name(self):
        value = {"a.b": tensor(), "a": {"b": tensor()}}
        assert refused(torch_file(pickled(value), _0=FOUR)) == "name_twice"
