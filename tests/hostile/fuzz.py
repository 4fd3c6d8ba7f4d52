"""Mutated files of every format: each ends in a checkpoint or in a typed refusal.

`make fuzz` runs many, prints a line a format and keeps what it finds in `corpus/`; `make test`
runs 300 of each and reads the corpus (`test_fuzz.py`). Most of the mutations keep to the
structure of a file, so that many still parse: they change the numbers or a letter of a name, and
put the checksums of an archive right.
"""

import argparse
import random
import resource
import signal
import struct
import sys
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from rmtviz import analyze, formats, pruning
from rmtviz.checkpoint import Checkpoint
from rmtviz.errors import RmtvizError
from rmtviz.rules import FixedRank
from tests.hostile.making import SMALL
from tests.hostile.structured import STRUCTURED

SECONDS = 10
"""No file may take longer."""

MEMORY = 2**33
"""The process may take no more bytes."""

CORPUS = Path(__file__).parent / "corpus"
"""Where finds are kept."""

_FORMS = ("<B", "<H", "<I", "<Q", ">I", ">Q")

Change = Callable[[random.Random, bytearray], None]
Opened = Callable[[bytes], Checkpoint]

TITLES = (*SMALL, *STRUCTURED)
"""The small files that are mutated."""


def flip(chance: random.Random, content: bytearray) -> None:
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)


def put(chance: random.Random, content: bytearray) -> None:
    """Write one of the numbers that readers stumble over, at any place."""
    number = chance.choice((0, 1, 2**7, 2**15, 2**16 - 1, 2**31 - 1, 2**32 - 1, 2**63 - 1))
    form = chance.choice([form for form in _FORMS if number < 256 ** struct.calcsize(form)])
    data = struct.pack(form, number)
    at = chance.randrange(max(1, len(content) - len(data)))
    content[at : at + len(data)] = data


def digit(chance: random.Random, content: bytearray) -> None:
    """Change a digit of a header in text."""
    places = [at for at, byte in enumerate(content[:4096]) if 48 <= byte <= 57]
    if places:
        content[chance.choice(places)] = chance.randrange(48, 58)


def cut(chance: random.Random, content: bytearray) -> None:
    del content[chance.randrange(len(content)) :]


def move(chance: random.Random, content: bytearray) -> None:
    """Copy a stretch of the file to another place in it."""
    start, at = (chance.randrange(len(content)) for _ in range(2))
    piece = content[start : start + chance.randrange(1, 32)]
    content[at : at + chance.choice((0, len(piece)))] = piece


def letter(chance: random.Random, content: bytearray) -> None:
    """Change a letter of a name."""
    places = [at for at, byte in enumerate(content) if 97 <= byte <= 122]
    if places:
        content[chance.choice(places)] = chance.choice(b"abcxyz<>.\x00\xff")


CHANGES: tuple[Change, ...] = (flip, put, digit, cut, move, letter, letter)


@dataclass(frozen=True)
class Sample:
    """A whole file, and where in it the bytes of its tensors are, as far as they stand open.

    With `change` half of the mutations keep to its structure; `opened` is how it is read.
    """

    content: bytes
    places: tuple[int, ...]
    change: Change | None = None
    opened: Opened = formats.read

    @classmethod
    def of(cls, title: str) -> "Sample":
        """Return the small file of this title."""
        if title in STRUCTURED:
            made = STRUCTURED[title]
            return cls(made.content, tuple(range(len(made.content))), made.change, made.opened)
        content = SMALL[title]
        found = [tensor.read().tobytes() for tensor in formats.read(content).tensors.values()]
        starts = [(content.find(data), len(data)) for data in found]
        spots = [at for start, size in starts if start >= 0 for at in range(start, start + size)]
        return cls(content, tuple(spots) or tuple(range(len(content))))


def mutated(chance: random.Random, sample: Sample) -> bytes:
    """Return a file with one to three changes, half of them to its numbers.

    An archive's checksums are put right for most.
    """
    changed = bytearray(sample.content)
    if sample.change and chance.random() < 0.7:
        for _ in range(chance.choice((1, 1, 2, 3))):
            sample.change(chance, changed)
        return bytes(changed)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.choice(sample.places)
        if chance.random() < 0.5 and at < len(changed):
            changed[at] = chance.randrange(256)
        elif changed:
            chance.choice(CHANGES)(chance, changed)
    return mended(bytes(changed)) if chance.random() < 0.7 else bytes(changed)


def mended(content: bytes) -> bytes:
    """Return an archive with the right checksum for each entry that is not packed."""
    fixed, at = bytearray(content), content.find(b"PK\1\2")
    while at >= 0 and at + 46 <= len(content):
        method, names, header = (
            struct.unpack_from(form, content, at + off)[0]
            for form, off in (("<H", 10), ("<H", 28), ("<I", 42))
        )
        size = struct.unpack_from("<I", content, at + 20)[0]
        if (
            method == 0
            and header + 30 <= len(content)
            and content[header : header + 4] == b"PK\3\4"
        ):
            name, extra = struct.unpack_from("<2H", content, header + 26)
            start = header + 30 + name + extra
            struct.pack_into("<I", fixed, at + 16, zlib.crc32(content[start : start + size]))
        at = content.find(b"PK\1\2", at + 46 + names)
    return bytes(fixed)


def outcome(content: bytes, opened: Opened = formats.read) -> str:
    """Return "read", or the key of the refusal; anything else is a find.

    What has a graph is also cut, and the graph written with the new weights.
    """
    try:
        checkpoint = opened(content)
        for tensor in checkpoint.tensors.values():
            tensor.read()
        if checkpoint.graph is not None:
            plan = pruning.plan(analyze(checkpoint), FixedRank(1), include_last=True)
            formats.write(pruning.apply(checkpoint, plan), "onnx")
    except RmtvizError as refusal:
        return refusal.key if refusal.what and refusal.do else ""
    return "read"


def run(title: str, count: int, seed: int) -> Counter[str]:
    """Return how the mutations of one file end, by outcome."""
    chance, sample = random.Random(seed), Sample.of(title)
    return Counter(outcome(mutated(chance, sample), sample.opened) for _ in range(count))


def _late(signal_number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"longer than {SECONDS} seconds")


def main() -> int:
    """Fuzz every format, print a line for each, and return 1 if anything was found."""
    options = argparse.ArgumentParser()
    options.add_argument("--count", type=int, default=1500)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", default="", help="titles that hold this word")
    asked = options.parse_args()
    if resource.getrlimit(resource.RLIMIT_AS)[1] < 0:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, _late)
    warnings.simplefilter("error")
    found = 0
    for title in TITLES:
        if asked.only not in title:
            continue
        chance, ends, slowest = random.Random(asked.seed), Counter[str](), 0.0
        sample = Sample.of(title)
        for _ in range(asked.count):
            changed, start = mutated(chance, sample), time.perf_counter()
            signal.alarm(SECONDS)
            try:
                ends["read" if outcome(changed, sample.opened) == "read" else "refused"] += 1
            except Exception as problem:  # a find: kept, and so a test from now on
                found += 1
                kept = CORPUS / f"{title.replace(', ', '-')}-{zlib.crc32(changed):08x}"
                kept.write_bytes(changed)
                print(f"FOUND {title}: {problem!r}, kept as {kept}")
            finally:
                signal.alarm(0)
            slowest = max(slowest, time.perf_counter() - start)
        share = ends["read"] / asked.count
        print(f"{title:18} {asked.count:6} files, {share:4.0%} read, slowest {slowest:.3f} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{found} finds; at most {peak} MB in memory")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
