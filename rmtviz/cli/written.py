"""Writing a file that a command was asked for: its format by its ending, whole or not at all."""

import contextlib
from pathlib import Path

from rmtviz.errors import BadOption


def format_of(output: Path) -> str:
    """Return the name of the format that a file's ending asks for.

    Raises:
        BadOption: an ending of no format.
    """
    from rmtviz.formats import FORMATS

    endings = {form.suffix: name for name, form in FORMATS.items()} | {".pth": "pytorch"}
    if output.suffix not in endings:
        raise BadOption("no_format", output=output.name, known=", ".join(endings))
    return endings[output.suffix]


def save(content: bytes, output: Path) -> None:
    """Write a file whole or not at all.

    Raises:
        BadOption: the place cannot be written.
    """
    part = output.with_name(f".{output.name}.part")
    try:
        part.write_bytes(content)
        part.replace(output)
    except OSError as problem:
        with contextlib.suppress(OSError):
            part.unlink()
        raise BadOption("not_written", output=output, why=problem.strerror) from None
