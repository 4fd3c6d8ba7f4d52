"""The command line: `rmtviz analyze | app`. Refusals are two lines on stderr and exit code 2."""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rmtviz.errors import BadOption, ExtraMissing, RmtvizError
from rmtviz.words import say


class Commands(click.Group):
    """The group of commands, with the one place where a refusal becomes an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RmtvizError as refusal:
            click.echo(str(refusal), err=True)
            ctx.exit(2)


@click.group(cls=Commands, help=say("cli.about"), context_settings={"max_content_width": 100})
@click.version_option(package_name="rmtviz", prog_name="rmtviz")
def main() -> None:
    """Run the command line."""


@main.command(help=say("cli.analyze"))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--method", default="bema", show_default=True, help=say("cli.method"))
@click.option("--option", "options", multiple=True, help=say("cli.option"))
@click.option("--json", "as_json", is_flag=True, help=say("cli.json"))
def analyze(model: Path, method: str, options: tuple[str, ...], as_json: bool) -> None:
    """Print the analysis of a file."""
    from rmtviz import analysis, formats, knobs
    from rmtviz.fits import METHODS

    chosen = knobs.make(METHODS, method, parse(options, [method])[method])
    checkpoint = formats.read(model)
    with progress(say("cli.progress")) as tick:
        result = analysis.fit(analysis.decompose(checkpoint, tick), chosen)
    click.echo(as_text(result.to_dict()) if as_json else table(result))


@main.command(help=say("cli.app"))
@click.option("--port", type=int, default=8501, show_default=True, help=say("cli.port"))
def app(port: int) -> None:
    """Serve the app."""
    from rmtviz.site import home

    try:
        from streamlit.web import cli as streamlit
    except ImportError:
        raise ExtraMissing("extra_missing", package="streamlit", extra="app") from None
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.argv = ["streamlit", "run", str(home() / "app.py"), f"--server.port={port}"]
    streamlit.main()


def parse(options: Sequence[str], used: Sequence[str]) -> Mapping[str, dict[str, str]]:
    """Return `{"bema": {"alpha": "0.25"}}` of "bema.alpha=0.25", one entry for each name in use.

    Raises:
        BadOption: not of that form, or an option of a choice that is not in use.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in used}
    for option in options:
        path, equals, value = option.partition("=")
        owner, dot, knob = path.partition(".")
        if not (equals and dot and owner and knob):
            raise BadOption("option_form", option=option)
        if owner not in found:
            raise BadOption("option_unused", option=path, owner=owner, used=", ".join(used))
        found[owner][knob.replace("-", "_")] = value
    return found


class progress:  # noqa: N801 - used as a context, like a function
    """A progress bar on stderr that appears after one second, on a terminal only."""

    def __init__(self, label: str) -> None:
        self.label = label
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

    def __exit__(self, *problem: object) -> None:
        if self.bar is not None:
            self.bar.__exit__(None, None, None)


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
    for layer in result.layers:
        if layer.spikes is None:
            lines.append(f"{layer.name}: {verdict.of_layer(layer)}")
    if result.skipped:
        lines += ["", say("cli.skipped")]
        lines += [
            say(
                "cli.skipped_line",
                name=item.name,
                shape="×".join(map(str, item.shape)) or "–",
                dtype=item.dtype,
                reason=say(f"skipped.{item.reason}"),
            )
            for item in result.skipped
        ]
    return "\n".join(lines)


def columns(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the rows as lines with aligned columns under their headings."""
    if not rows:
        return []
    heads = {key: say(f"cli.column.{key}") for key in rows[0]}
    widths = {key: max(len(head), *(len(row[key]) for row in rows)) for key, head in heads.items()}
    return [
        "  ".join(
            row[key].ljust(widths[key]) if key == "name" else row[key].rjust(widths[key])
            for key in heads
        ).rstrip()
        for row in (heads, *rows)
    ]


def _row(layer: Any) -> dict[str, str]:
    values = layer.to_dict()
    ranks = sorted(rank for rank in layer.ranks.values() if rank is not None)
    stable = {None: "–", True: say("cli.word.stable"), False: say("cli.word.unstable")}

    def number(key: str, form: str) -> str:
        return "–" if values[key] is None else format(values[key], form)

    return {
        "name": layer.name,
        "shape": "{} × {}".format(*values["shape"]),
        "sigma": number("sigma", ".4g"),
        "bulk_edge": number("bulk_edge", ".4g"),
        "cut": number("cut", ".4g"),
        "spikes": number("spikes", "d"),
        "ranks": f"{ranks[0]}–{ranks[-1]}" if ranks else "–",
        "bulk_directions": number("bulk_directions", ".0%"),
        "bulk_energy": number("bulk_energy", ".0%"),
        "ks": number("ks", ".3f"),
        "law": say(f"cli.word.{layer.law}") if layer.law else "–",
        "stable": stable[layer.stable],
    }
