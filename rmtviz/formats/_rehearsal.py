"""A file is tried in a process of its own, which may take only so much memory and time.

Our own readers are bounded by construction. A library's is not: protobuf, ONNX's inference of
shapes and HDF5 are large programs in C, and what a crafted file makes them do nobody knows. So
an upload that one of them reads is read by a child first, under limits; where the child is
done, the same bytes are read once more here. The limits on memory and processor time are those
of POSIX; on other systems the limit on time is kept, by stopping the child.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from rmtviz import errors
from rmtviz.errors import FileRefused, RmtvizError
from rmtviz.formats.sources import Limits, Source


def rehearse(source: Source, limits: Limits) -> None:
    """Read a file in a child process, and return where that went well.

    Raises:
        RmtvizError: the refusal of the child; or it took too long or too much, or crashed.
    """
    held = isinstance(source.origin, bytes)
    asked = {
        "path": None if held else str(source.origin),
        "name": source.name,
        "limits": asdict(limits),
    }
    package = str(Path(__file__).parents[2])
    paths = [package, os.environ.get("PYTHONPATH", "")]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "rmtviz.formats", json.dumps(asked)],
            input=source.origin if isinstance(source.origin, bytes) else b"",
            capture_output=True,
            timeout=limits.seconds,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "OPENBLAS_NUM_THREADS": "1",  # each thread would count against the memory
            },
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise source.refuse("limit_seconds", limit=limits.seconds) from None
    if done.returncode == 0:
        raise_told(json.loads(done.stdout))
    elif done.returncode == -getattr(signal, "SIGXCPU", 0):
        raise source.refuse("limit_seconds", limit=limits.seconds)
    else:
        raise source.refuse("reader_failed")


def confine(limits: Limits) -> None:
    """Bound the memory and the processor time of this process, where the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    for kind, most in ((resource.RLIMIT_AS, limits.memory), (resource.RLIMIT_CPU, limits.seconds)):
        top = resource.getrlimit(kind)[1]
        with contextlib.suppress(ValueError, OSError):  # macOS takes no limit on memory
            resource.setrlimit(kind, (most if top < 0 else min(most, top), top))


def told(refusal: RmtvizError | None) -> str:
    """Return a refusal, or that there is none, as text for the other process."""
    if refusal is None:
        return "{}"
    kind = type(refusal).__name__
    return json.dumps({"kind": kind, "key": refusal.key, "values": refusal.values}, default=str)


def raise_told(found: dict[str, object]) -> None:
    """Raise the refusal that the other process told, if it told one."""
    match found:
        case {"kind": str(name), "key": str(key), "values": dict(values)}:
            kind = getattr(errors, name, FileRefused)
            raise kind(key, **values)
