"""Pickles, followed and never executed.

A pickle is a program for a small stack machine, and Python's own machine does what the
program says: it imports what is named and calls it. This one imports and calls nothing.
Wherever a pickle asks for a class or a call, it sets down a `Made` with the name, the
arguments and the state, and goes on; so nothing in a file can run, and there is no list of
dangerous names that could be incomplete.

Nor can a file inflate what reading it costs. Python's machine takes 4 GB for a pickle of eight
bytes (a large index into its memo), and one of 200 bytes keeps it busy for ever (a key made of
tuples that double at each level, to be hashed). Here memory is linear in bytes and opcodes, and
only plain scalars are hashed.
"""

import io
import pickletools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from rmtviz.formats.sources import Blob, Limits, Source


@dataclass(frozen=True, slots=True, eq=False)
class Global:
    """A class or function that a pickle names, as text."""

    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Outside:
    """Something that a pickle says lies outside it: in a PyTorch file, a storage."""

    value: object


@dataclass(slots=True, eq=False)
class Made:
    """What calling `name` with `args` would have made; nothing was called.

    `state` is what it would have been given to restore itself, `items` and `pairs` what
    would have been appended or set.
    """

    name: str
    args: tuple[object, ...]
    state: object = None
    items: list[object] = field(default_factory=list)
    pairs: dict[object, object] = field(default_factory=dict)


class _Unnamed:
    """A key that is no plain scalar: it stands for itself, and is never hashed by value."""


_IGNORED = frozenset(("PROTO", "FRAME", "READONLY_BUFFER", "STOP"))


def parse(source: Source, data: bytes, limits: Limits) -> object:
    """Return what a pickle describes, of plain values, `Made`, `Global` and `Outside`.

    Raises:
        FileRefused: the pickle is broken, or longer than the limits.
    """
    return follow(source, io.BytesIO(data), limits)


def follow(
    source: Source, stream: IO[bytes], limits: Limits, outside: list[Outside] | None = None
) -> object:
    """Return what the next pickle of a stream describes, and note what it says lies outside.

    Raises:
        FileRefused: the pickle is broken, or longer than the limits.
    """
    machine = _Machine([] if outside is None else outside)
    try:
        for step, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if step >= limits.steps:
                raise source.refuse("limit_steps", limit=limits.steps)
            machine.follow(opcode, argument)
        return machine.pop()
    # A warning is here where somebody turned warnings into errors: text with odd escapes.
    except (ValueError, IndexError, KeyError, TypeError, Warning):
        raise source.refuse("pickle_damaged") from None


def stream(source: Blob) -> IO[bytes]:
    """Return a blob's bytes as a stream that is read a little at a time."""
    return _Stream(_Raw(source), source.length)


class _Stream(io.BufferedReader):
    """A stream that makes room for no more than is left; Python's own believes the count."""

    def __init__(self, raw: "_Raw", length: int) -> None:
        super().__init__(raw)
        self.length = length

    def read(self, size: int | None = -1, /) -> bytes:
        rest = max(0, self.length - self.tell())
        return super().read(rest if size is None or size < 0 else min(size, rest))


class _Raw(io.RawIOBase):
    """A blob as Python's streams want it."""

    def __init__(self, source: Blob) -> None:
        self.source = source
        self.at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + {0: 0, 1: self.at, 2: self.source.length}[whence]
        return self.at

    def readinto(self, buffer: Any) -> int:
        count = max(0, min(len(buffer), self.source.length - self.at))
        buffer[:count] = self.source.read(self.at, count)
        self.at += count
        return count


class _Machine:
    """The stack machine: what a pickle has put down so far."""

    def __init__(self, outside: list[Outside]) -> None:
        self.outside = outside
        self.stack: list[object] = []
        self.below: list[list[object]] = []
        self.memo: dict[object, object] = {}

    def follow(self, opcode: pickletools.OpcodeInfo, argument: object) -> None:
        """Follow one opcode; one that carries a value and means nothing more puts it down."""
        name = opcode.name
        if name in _BARE:
            _BARE[name](self)
        elif name in _TAKING:
            _TAKING[name](self, argument)
        elif name not in _IGNORED:
            if opcode.arg is None:
                raise ValueError
            self.push(argument)

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> object:
        return self.stack.pop()

    def beyond(self, value: object) -> None:
        """Put down what lies outside the pickle, and note it."""
        self.outside.append(Outside(value))
        self.push(self.outside[-1])

    def to_mark(self) -> list[object]:
        """Take all that was put down since the last mark."""
        taken, self.stack = self.stack, self.below.pop()
        return taken

    def pack(self, count: int) -> None:
        """Put the last values into a tuple."""
        taken = self.stack[len(self.stack) - count :]
        if len(taken) != count:
            raise IndexError
        del self.stack[len(self.stack) - count :]
        self.push(tuple(taken))

    def extend(self, items: list[object]) -> None:
        """Append items to the list, or to whatever stands for one."""
        target = self.stack[-1]
        if not isinstance(target, list | Made):
            raise TypeError
        (target if isinstance(target, list) else target.items).extend(items)

    def assign(self, flat: list[object]) -> None:
        """Set alternating keys and values on the dict, or on whatever stands for one."""
        target = self.stack[-1]
        if not isinstance(target, dict | Made):
            raise TypeError
        (target if isinstance(target, dict) else target.pairs).update(_pairs(flat))

    def make(self, function: object, arguments: object) -> None:
        """Set down what a call would have made."""
        name = function.name if isinstance(function, Global | Made) else type(function).__name__
        given = arguments if isinstance(arguments, tuple) else (arguments,)
        self.push(Made(name, given))

    def reduce(self) -> None:
        arguments = self.pop()
        self.make(self.pop(), arguments)

    def reduce_named(self) -> None:
        self.pop()
        self.reduce()

    def instance(self) -> None:
        function, *arguments = self.to_mark()
        self.make(function, tuple(arguments))

    def build(self) -> None:
        state = self.pop()
        if isinstance(self.stack[-1], Made):
            self.stack[-1].state = state

    def name(self) -> None:
        name, module = self.pop(), self.pop()
        if not (isinstance(module, str) and isinstance(name, str)):
            raise TypeError
        self.push(Global(f"{module}.{name}"))

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def pop_one(self) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.stack = self.below.pop()


def _pairs(flat: list[object]) -> dict[object, object]:
    """Return a dict of alternating keys and values; keys that are no scalars stand for themselves.

    Raises:
        ValueError: a key is without a value.
    """
    keys = (key if _plain(key) else _Unnamed() for key in flat[::2])
    return dict(zip(keys, flat[1::2], strict=True))


def _plain(key: object) -> bool:
    return isinstance(key, str | float) or (isinstance(key, int) and abs(key) < 2**63)


_BARE: Mapping[str, Callable[[_Machine], object]] = {
    "NONE": lambda m: m.push(None),
    "NEWTRUE": lambda m: m.push(True),
    "NEWFALSE": lambda m: m.push(False),
    "EMPTY_LIST": lambda m: m.push([]),
    "EMPTY_SET": lambda m: m.push([]),
    "EMPTY_DICT": lambda m: m.push({}),
    "EMPTY_TUPLE": lambda m: m.push(()),
    "LIST": lambda m: m.push(m.to_mark()),
    "FROZENSET": lambda m: m.push(m.to_mark()),
    "DICT": lambda m: m.push(_pairs(m.to_mark())),
    "TUPLE": lambda m: m.push(tuple(m.to_mark())),
    "TUPLE1": lambda m: m.pack(1),
    "TUPLE2": lambda m: m.pack(2),
    "TUPLE3": lambda m: m.pack(3),
    "APPEND": lambda m: m.extend([m.pop()]),
    "APPENDS": lambda m: m.extend(m.to_mark()),
    "ADDITEMS": lambda m: m.extend(m.to_mark()),
    "SETITEM": lambda m: m.assign([m.stack.pop(-2), m.pop()]),
    "SETITEMS": lambda m: m.assign(m.to_mark()),
    "POP": _Machine.pop_one,
    "POP_MARK": _Machine.to_mark,
    "DUP": lambda m: m.push(m.stack[-1]),
    "MARK": _Machine.mark,
    "MEMOIZE": lambda m: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    "STACK_GLOBAL": _Machine.name,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.reduce_named,
    "OBJ": _Machine.instance,
    "BUILD": _Machine.build,
    "BINPERSID": lambda m: m.beyond(m.pop()),
}
"""Opcodes that carry nothing."""

_TAKING: Mapping[str, Callable[[_Machine, object], object]] = {
    **dict.fromkeys(
        ("PUT", "BINPUT", "LONG_BINPUT"), lambda m, key: m.memo.__setitem__(key, m.stack[-1])
    ),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda m, key: m.push(m.memo[key])),
    **dict.fromkeys(("EXT1", "EXT2", "EXT4"), lambda m, key: m.push(Global(f"{key}"))),
    "GLOBAL": lambda m, name: m.push(_global(name)),
    "INST": lambda m, name: m.make(_global(name), tuple(m.to_mark())),
    "PERSID": lambda m, key: m.beyond(key),
}
"""Opcodes that carry a memo's key or a name."""


def _global(name: object) -> Global:
    return Global(".".join(str(name).rsplit(" ", 1)))
