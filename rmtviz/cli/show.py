"""What the command line prints: progress, tables, JSON."""

import json
import sys
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rmtviz.formats.sources import short
from rmtviz.words import say

ERASE, CURSOR = "\r\x1b[K", "\x1b[?25h"
"""What makes a terminal empty its line, and show its cursor again."""


class progress:  # noqa: N801 - used as a context, like a function
    """A progress bar on stderr that appears after one second, on a terminal only.

    With `left=False` nothing is left of it at the end.
    """

    def __init__(self, label: str, left: bool = True) -> None:
        self.label = label
        self.left = left
        self.bar: Any = None
        self.began = time.monotonic()

    def __enter__(self) -> Callable[[int, int], None]:
        return self.tick

    def tick(self, done: int, of: int) -> None:
        """Show that `done` of `of` is done."""
        if self.bar is None:
            if time.monotonic() - self.began < 1 or not sys.stderr.isatty():
                return
            self.bar = click.progressbar(length=of, label=self.label, file=sys.stderr)
            self.bar.__enter__()
        self.bar.update(done - self.bar.pos)

    def clear(self) -> None:
        """Take the bar off its line, so that something else may be printed there."""
        if self.bar is not None:
            click.echo(ERASE, nl=False, err=True)

    def __exit__(self, *problem: object) -> None:
        if self.bar is None:
            return
        if self.left:
            self.bar.__exit__(None, None, None)
        else:
            self.clear()
            click.echo(CURSOR, nl=False, err=True)  # the cursor, which the bar had hidden


def as_text(value: Any) -> str:
    """Return JSON for people and programs: indented, no NaN."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)


def table(result: Any) -> str:
    """Return the analysis as a table with its verdict and the list of what was skipped."""
    from rmtviz import verdict

    model = result.model
    head = say(
        "cli.file",
        source=model.source,
        format=model.format,
        parameters=model.parameters,
        bytes=model.bytes,
    )
    lines = [head, "", *columns([_row(layer) for layer in result.layers]), ""]
    lines.append(verdict.of_model(result))
    error = max((layer.spectrum.estimated for layer in result.layers), default=0.0)
    if error:
        lines.append(say("cli.estimated", error=error))
    for layer in result.layers:
        if layer.spikes is None:
            lines.append(f"{layer.name}: {verdict.of_layer(layer)}")
    if result.skipped:
        lines += ["", say("cli.skipped")]
        lines += [
            say(
                "cli.skipped_line",
                name=short(item.name),
                shape="×".join(map(str, item.shape)) or "–",
                dtype=item.dtype,
                reason=item.why,
            )
            for item in result.skipped
        ]
    return "\n".join(lines)


def cut_table(plan: Any, before: Any, after: Any, output: Path) -> str:
    """Return what a plan did as a table with its verdict."""
    from rmtviz import verdict

    rows = [
        {
            "name": short(cut.name),
            "rank": f"{cut.rank_before} → {cut.rank_after}",
            "weights": f"{cut.parameters_before:,} → {cut.parameters_after:,}",
            "form": say(f"prune.form.{cut.form}"),
            "reason": say(f"reason.{cut.reason}"),
        }
        for cut in plan.cuts
    ]
    head = verdict.of_plan(plan, before, after, None) if plan.cuts else say("verdict.model_empty")
    lines = [*columns(rows), "", head]
    if any(cut.stable is False and cut.form != "whole" for cut in plan.cuts):
        lines.append(say("cli.unstable"))
    return "\n".join([*lines, say("cli.written", output=output)])


def reading(record: dict[str, Any]) -> str:
    """Return what an evaluation found, in one or two lines."""
    text = record["unit"] == "characters"  # of which many are too rare ever to be predicted
    values = record | {"unit": say(f"unit.{record['unit']}")}
    line = say("cli.read_text" if text else "cli.read", **values)
    never = "" if text else ", ".join(map(str, record["never_predicted"]))
    return f"{line}\n{say('cli.never', classes=never)}" if never else line


def columns(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the rows as lines with aligned columns under their headings."""
    if not rows:
        return []
    heads = {key: say(f"cli.column.{key}") for key in rows[0]}
    lines = (heads, *rows)
    widths = {key: max(width(line[key]) for line in lines) for key in heads}

    def cell(line: Mapping[str, str], key: str) -> str:
        space = " " * (widths[key] - width(line[key]))
        return line[key] + space if key == "name" else space + line[key]

    return ["  ".join(cell(line, key) for key in heads).rstrip() for line in lines]


def width(text: str) -> int:
    """Return how many columns of a terminal a text takes: two for each Japanese character."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _row(layer: Any) -> dict[str, str]:
    from rmtviz import verdict

    values = layer.to_dict()
    stable = {None: "–", True: say("cli.word.stable"), False: say("cli.word.unstable")}

    def number(key: str, form: str) -> str:
        return "–" if values[key] is None else format(values[key], form)

    return {
        "name": short(layer.name) + ("*" if layer.spectrum.estimated else ""),
        "shape": "{} × {}".format(*values["shape"]),
        "sigma": number("sigma", ".4g"),
        "bulk_edge": number("bulk_edge", ".4g"),
        "cut": number("cut", ".4g"),
        "spikes": number("spikes", "d"),
        "ranks": verdict.ranks(layer) or "–",
        "bulk_directions": number("bulk_directions", ".0%"),
        "bulk_energy": number("bulk_energy", ".0%"),
        "ks": number("ks", ".3f"),
        "law": say(f"cli.word.{layer.law}") if layer.law else "–",
        "stable": stable[layer.stable],
    }
