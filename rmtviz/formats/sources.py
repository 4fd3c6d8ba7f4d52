"""Where a reader's bytes come from, a file or a stretch of one, and how much a file may ask."""

import functools
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Protocol

import numpy as np

from rmtviz.errors import BadOption, FileRefused

LARGEST = 2**40
"""More elements than any tensor of a network has: a shape beyond it is a fault."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one file may ask of the machine.

    `header_bytes` bounds each header, directory or pickle; `steps` the opcodes of a pickle;
    `depth` how deep its groups are nested; `sides` and `elements` a single shape. All tensors
    together may take `growth` times the bytes of the file and `spare` bytes on top: that is
    room for compressed, expanded and shared tensors, and none for a bomb. An upload may have
    `upload_bytes`; one that a library reads is tried first in a process of its own, which may
    take `memory` bytes and `seconds`. Each can be set: RMTVIZ_LIMIT_TENSORS=1000.
    """

    header_bytes: int = 25_000_000
    tensors: int = 100_000
    steps: int = 1_000_000
    depth: int = 100
    sides: int = 64
    elements: int = LARGEST
    growth: int = 10
    spare: int = 2**28
    upload_bytes: int = 200_000_000
    memory: int = 2**32
    seconds: int = 30

    @classmethod
    def configured(cls, settings: Mapping[str, str] = os.environ) -> "Limits":
        """Return the limits, with those of the environment in place of the usual ones.

        Raises:
            BadOption: a setting is no whole number above zero.
        """
        given = {}
        for knob in fields(cls):
            name = f"RMTVIZ_LIMIT_{knob.name.upper()}"
            if word := settings.get(name, "").strip():
                if not (word.isascii() and word.isdecimal() and 0 < int(word[:20]) < 2**63):
                    raise BadOption("limit_setting", name=name, value=short(word))
                given[knob.name] = int(word)
        return cls(**given)


class Blob(Protocol):
    """Bytes of which any stretch can be read."""

    @property
    def length(self) -> int: ...

    def head(self, count: int) -> bytes:
        """Return the first bytes, fewer where there are fewer."""

    def read(self, offset: int, count: int) -> memoryview:
        """Return exactly these bytes."""

    def effort(self, count: int) -> int:
        """Return how many bytes have to be made to read a stretch of `count`."""


@dataclass(frozen=True, slots=True)
class Source:
    """A file's bytes under its name, in memory or on disk.

    A file on disk is opened for each read, so a source can be copied, pickled and shared
    between threads; a file that is no longer the one first seen is refused.
    """

    origin: bytes | Path = field(repr=False)
    name: str
    length: int
    stamp: tuple[int, ...] = ()

    @classmethod
    def of(cls, origin: bytes | str | Path, name: str | None = None) -> "Source":
        """Return the source of these bytes, or of the file at this path.

        Raises:
            FileRefused: there is no such file, or it is a folder or cannot be read.
        """
        if isinstance(origin, bytes):
            return cls(origin, name or "bytes", len(origin))
        path = Path(origin)
        label = name or whole(path.name) or str(path)
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError, ValueError):
            raise FileRefused("file_missing", source=label) from None
        except OSError as error:
            raise _unreadable(label, error) from None
        if stat.S_ISDIR(found.st_mode):
            raise FileRefused("file_folder", source=label)
        if not stat.S_ISREG(found.st_mode):
            raise FileRefused("file_special", source=label)
        return cls(path, label, found.st_size, _stamp(found))

    def head(self, count: int) -> bytes:
        return bytes(self.read(0, min(count, self.length)))

    def read(self, offset: int, count: int) -> memoryview:
        if offset < 0 or count < 0 or offset + count > self.length:
            raise self.refuse("file_cut", length=self.length)
        if isinstance(self.origin, bytes):
            return memoryview(self.origin)[offset : offset + count]
        try:
            return self._read_file(self.origin, offset, count)
        except OSError as error:
            raise _unreadable(self.name, error) from None

    def effort(self, count: int) -> int:
        return count

    def refuse(self, key: str, **values: object) -> FileRefused:
        """Return the refusal of this file, for the caller to raise."""
        return FileRefused(key, source=self.name, **values)

    def _read_file(self, path: Path, offset: int, count: int) -> memoryview:
        view, done = np.empty(count, np.uint8).data, 0
        with path.open("rb", buffering=0) as file:
            if _stamp(os.fstat(file.fileno())) != self.stamp:
                raise self.refuse("file_changed")
            file.seek(offset)
            while done < count:
                step = file.readinto(view[done:])
                if not step:
                    raise self.refuse("file_changed")
                done += step
        return view.toreadonly()


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of another blob's bytes."""

    blob: Blob
    start: int
    length: int

    def head(self, count: int) -> bytes:
        return bytes(self.read(0, min(count, self.length)))

    def read(self, offset: int, count: int) -> memoryview:
        return self.blob.read(self.start + offset, count)

    def effort(self, count: int) -> int:
        return self.blob.effort(count)


@functools.lru_cache(maxsize=1024)
def short(text: str, width: int = 60) -> str:
    """Return text from a file fit for a sentence: one printable line, no longer than `width`."""
    line = " ".join(text[: 4 * width].split())
    clean = "".join(sign if sign.isprintable() else "\ufffd" for sign in line[: width + 1])
    return clean if len(clean) <= width else clean[: width - 1] + "…"


def whole(text: str) -> str:
    """Return text that any file can hold: half of a surrogate pair becomes a question mark."""
    return text.encode("utf-8", "replace").decode()


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _unreadable(name: str, error: OSError) -> FileRefused:
    return FileRefused("file_unreadable", source=name, reason=error.strerror or error)
