"""The command line, a command a stage. Refusals are two lines on stderr and exit code 2."""

import dataclasses
import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rmtviz import __version__
from rmtviz.errors import BadOption, ExtraMissing, RmtvizError
from rmtviz.words import say

OPENING = ("--server.headless=false", "--server.showEmailPrompt=false")
"""What makes Streamlit open the browser at once, without asking anything first."""


class Commands(click.Group):
    """The group of commands, with the one place where a refusal becomes an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RmtvizError as refusal:
            click.echo(str(refusal), err=True)
            ctx.exit(2)


@click.group(cls=Commands, help=say("cli.about"), context_settings={"max_content_width": 100})
@click.version_option(__version__, prog_name="rmtviz")
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


@main.command(help=say("cli.prune"))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help=say("cli.out"))
@click.option("--method", default=None, help=say("cli.method_prune"))
@click.option("--rule", default=None, help=say("cli.rule"))
@click.option("--option", "options", multiple=True, help=say("cli.option"))
@click.option("--rank", "ranks", multiple=True, help=say("cli.rank"))
@click.option("--form", default="auto", show_default=True, help=say("cli.form"))
@click.option("--include-last", is_flag=True, help=say("cli.include_last"))
@click.option("--factored", default=None, help=say("cli.factored"))
@click.option("--json", "as_json", is_flag=True, help=say("cli.json"))
def prune(
    model: Path,
    output: Path,
    method: str | None,
    rule: str | None,
    options: tuple[str, ...],
    ranks: tuple[str, ...],
    form: str,
    include_last: bool,
    factored: str | None,
    as_json: bool,
) -> None:
    """Write the pruned network and print what was done."""
    from rmtviz import analysis, formats, knobs, pruning
    from rmtviz.fits import METHODS
    from rmtviz.rules import RULES

    names = [method or "bema", rule or "noise-edge"]
    knob_words = parse(options, names)
    chosen = knobs.make(METHODS, names[0], knob_words[names[0]])
    chosen_rule = knobs.make(RULES, names[1], knob_words[names[1]])
    checkpoint = declared(formats.read(model), factored)
    kind = format_of(output)
    with progress(say("cli.progress")) as tick:
        result = analysis.fit(analysis.decompose(checkpoint, tick), chosen)
    plan = pruning.plan(
        result,
        chosen_rule,
        dict(_rank(word) for word in ranks),
        form=form,
        include_last=include_last,
        careful=method is None and rule is None,
    )
    pruned = pruning.apply(checkpoint, plan)
    save(formats.write(pruned, kind), output)
    before, after = pruning.Size.of(checkpoint), pruning.Size.of(pruned)
    record = {
        "rule": names[1],
        "method": names[0],
        "options": {names[1]: knobs.values(chosen_rule), names[0]: knobs.values(chosen)},
        "output": str(output),
        "digest": pruned.digest,
        "layers": [dataclasses.asdict(cut) for cut in plan.cuts],
        **{
            f"{name}_{when}": getattr(size, name)
            for name in ("parameters", "macs", "bytes")
            for when, size in (("before", before), ("after", after))
        },
    }
    click.echo(as_text(record) if as_json else cut_table(plan, before, after, output))


@main.command(help=say("cli.evaluate"))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--dataset", default="mnist", show_default=True, help=say("cli.dataset"))
@click.option("--split", default=None, help=say("cli.split"))
@click.option("--activation", default=None, help=say("cli.activation"))
@click.option("--inputs", default=None, help=say("cli.inputs"))
@click.option("--order", default=None, help=say("cli.order"))
@click.option("--factored", default=None, help=say("cli.factored"))
@click.option("--json", "as_json", is_flag=True, help=say("cli.json"))
def evaluate(
    model: Path,
    dataset: str,
    split: str | None,
    activation: str | None,
    inputs: str | None,
    order: str | None,
    factored: str | None,
    as_json: bool,
) -> None:
    """Print how many of a dataset's images a network reads right."""
    from rmtviz import datasets, evaluation, formats, knobs, networks

    made = knobs.make(datasets.DATASETS, dataset)
    checkpoint = declared(formats.read(model), factored)
    data, foreign = datasets.of(checkpoint)
    data = data if data.name == dataset else made()
    choice = networks.detect(
        checkpoint,
        data,
        foreign,
        activation=activation,
        inputs=inputs,
        order=tuple(order.split(",")) if order else None,
    )
    samples = data.split("all" if split in (None, "test") else split, foreign=foreign)
    found = evaluation.evaluate(choice(checkpoint), samples)
    record = {
        "dataset": found.dataset,
        "split": split or "test",
        "samples": found.samples,
        "accuracy": found.accuracy,
        "loss": found.loss,
        "activation": found.activation,
        "inputs": found.inputs,
        "never_predicted": list(found.never_predicted),
    }
    click.echo(as_text(record) if as_json else _read(record))


@main.command(help=say("cli.app"))
@click.option("--port", type=int, default=8501, show_default=True, help=say("cli.port"))
def app(port: int) -> None:
    """Serve the app."""
    from rmtviz.site import home

    if importlib.util.find_spec("streamlit") is None:
        raise ExtraMissing("extra_missing", package="streamlit", extra="app")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    script = str(home() / "app.py")
    words = ["-m", "streamlit", "run", script, f"--server.port={port}", *OPENING]
    os.execv(sys.executable, [sys.executable, *words])


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
        raise BadOption("not_written", output=output, why=problem.strerror) from None


def declared(checkpoint: Any, factored: str | None) -> Any:
    """Return the checkpoint with the layers declared factored: names by commas, or "none"."""
    if factored is None:
        return checkpoint
    names = [] if factored == "none" else factored.split(",")
    return checkpoint.with_about(factored=names)


def _rank(word: str) -> tuple[str, int]:
    """Return ("2", 40) of "2=40".

    Raises:
        BadOption: not of that form.
    """
    name, _, rank = word.rpartition("=")
    if not (name and rank.isdecimal()):
        raise BadOption("rank_form", option=word)
    return name, int(rank)


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


def cut_table(plan: Any, before: Any, after: Any, output: Path) -> str:
    """Return what a plan did as a table with its verdict."""
    from rmtviz import verdict

    rows = [
        {
            "name": cut.name,
            "rank": f"{cut.rank_before} → {cut.rank_after}",
            "weights": f"{cut.parameters_before:,} → {cut.parameters_after:,}",
            "form": say(f"prune.form.{cut.form}"),
            "reason": say(f"reason.{cut.reason}"),
        }
        for cut in plan.cuts
    ]
    lines = [*columns(rows), "", verdict.of_plan(before, after, None)]
    if any(cut.stable is False and cut.form != "whole" for cut in plan.cuts):
        lines.append(say("cli.unstable"))
    return "\n".join([*lines, say("cli.written", output=output)])


def _read(record: Mapping[str, Any]) -> str:
    line = say("cli.read", **record)
    never = ", ".join(map(str, record["never_predicted"]))
    return f"{line}\n{say('cli.never', classes=never)}" if never else line


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
    from rmtviz import verdict

    values = layer.to_dict()
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
        "ranks": verdict.ranks(layer) or "–",
        "bulk_directions": number("bulk_directions", ".0%"),
        "bulk_energy": number("bulk_energy", ".0%"),
        "ks": number("ks", ".3f"),
        "law": say(f"cli.word.{layer.law}") if layer.law else "–",
        "stable": stable[layer.stable],
    }
