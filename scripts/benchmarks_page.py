"""Keep docs/benchmarks.md: each benchmark that writes to it replaces its own section alone."""

from collections.abc import Iterable
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

SECTIONS = ("accuracy", "speed")

HEAD = """\
# Benchmarks against other tools

<!-- Each section is made by its script in benchmarks/ with --write; do not edit by hand. -->

What each tool answers to the same matrices, measured in one run each. `make bench` makes the
environment with the peers and runs every benchmark.
"""


def put(section: str, lines: Iterable[str], page: Path = PAGE) -> None:
    """Write the lines into a section of the page, and leave the other sections as they are."""
    old = page.read_text("utf-8") if page.exists() else ""
    bodies = {name: body(old, name) for name in SECTIONS}
    bodies[section] = "\n".join(lines).strip("\n")
    parts = [
        f"{begin(name)}\n{text}\n{end(name)}\n" for name, text in bodies.items() if text is not None
    ]
    page.write_text("\n".join([HEAD, *parts]), "utf-8")


def body(text: str, section: str) -> str | None:
    """Return what stands between a section's markers; None where there is no such section."""
    _, found, after = text.partition(begin(section))
    return after.partition(end(section))[0].strip("\n") if found else None


def begin(section: str) -> str:
    """Return the marker above a section."""
    return f"<!-- {section} -->"


def end(section: str) -> str:
    """Return the marker below a section."""
    return f"<!-- end of {section} -->"
