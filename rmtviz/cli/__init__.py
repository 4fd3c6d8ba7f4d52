"""The command line, a command a stage. Refusals are two lines on stderr and exit code 2."""

import dataclasses
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rmtviz.cli.given import as_operators, copied, declared, frozen, headed, labelled, told
from rmtviz.cli.learning import train
from rmtviz.cli.show import as_text, cut_table, progress, reading, table
from rmtviz.cli.tradeoff import tradeoff
from rmtviz.cli.written import format_of, save
from rmtviz.errors import BadOption, CannotRun, ExtraMissing, RmtvizError
from rmtviz.version import __version__
from rmtviz.words import say

OPENING = ("--server.headless=false", "--server.showEmailPrompt=false")
"""What makes Streamlit open the browser at once, without asking anything first."""


class Commands(click.Group):
    """The group of commands, with the one place where a refusal becomes an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except RmtvizError as refusal:
            for sentence in (refusal.what, refusal.do):  # in which a file may have its word
                line = "".join(sign if sign.isprintable() else "\ufffd" for sign in sentence)
                click.echo(line, err=True)
            ctx.exit(2)


@click.group(cls=Commands, help=say("cli.about"), context_settings={"max_content_width": 100})
@click.version_option(__version__, prog_name="rmtviz")
def main() -> None:
    """Run the command line."""


main.add_command(train)


@main.command(help=say("cli.analyze"))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--method", default="bema", show_default=True, help=say("cli.method"))
@click.option("--option", "options", multiple=True, help=say("cli.option"))
@click.option("--equalise", is_flag=True, help=say("cli.equalise"))
@click.option("--each", is_flag=True, help=say("cli.each"))
@click.option("--copy", "copy", default=None, help=say("cli.copy"))
@click.option("--kind", "kinds", multiple=True, help=say("cli.kind"))
@click.option("--heads", default=None, help=say("cli.heads"))
@click.option("--operator", default=None, help=say("cli.operator"))
@click.option("--cache", is_flag=True, help=say("cli.cache"))
@click.option("--json", "as_json", is_flag=True, help=say("cli.json"))
def analyze(
    model: Path,
    method: str,
    options: tuple[str, ...],
    equalise: bool,
    each: bool,
    copy: str | None,
    kinds: tuple[str, ...],
    heads: str | None,
    operator: str | None,
    cache: bool,
    as_json: bool,
) -> None:
    """Print the analysis of a file."""
    from rmtviz import analysis, formats, knobs
    from rmtviz.fits import METHODS

    chosen = knobs.make(METHODS, method, parse(options, [method])[method])
    checkpoint = headed(told(copied(formats.read(model), copy), kinds), heads)
    with progress(say("cli.progress")) as tick:
        result = analysis.analyze(
            checkpoint,
            chosen,
            tick,
            equalise=equalise or method == "dyson",
            each=each,
            cache=cache,
        )
    record = result.to_dict()
    lines = []
    rows = {row["name"]: row for row in record["layers"]}
    for name, found in as_operators(checkpoint, operator, rows):
        rows[name]["operator"] = found
        lines.append(say("cli.operator_line", name=name, **found))
    click.echo(as_text(record) if as_json else "\n".join([table(result), *lines]))


@main.command(help=say("cli.prune"))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help=say("cli.out"))
@click.option("--method", default=None, help=say("cli.method_prune"))
@click.option("--rule", default=None, help=say("cli.rule"))
@click.option("--option", "options", multiple=True, help=say("cli.option"))
@click.option("--rank", "ranks", multiple=True, help=say("cli.rank"))
@click.option("--copy", "copy", default=None, help=say("cli.copy"))
@click.option("--kind", "kinds", multiple=True, help=say("cli.kind"))
@click.option("--heads", default=None, help=say("cli.heads"))
@click.option("--form", default="auto", show_default=True, help=say("cli.form"))
@click.option("--include-last", is_flag=True, help=say("cli.include_last"))
@click.option("--factored", default=None, help=say("cli.factored"))
@click.option("--activation", default=None, help=say("cli.activation"))
@click.option("--inputs", default=None, help=say("cli.inputs"))
@click.option("--layout", default=None, help=say("cli.layout"))
@click.option("--dataset", default=None, help=say("cli.dataset"))
@click.option("--json", "as_json", is_flag=True, help=say("cli.json"))
def prune(
    model: Path,
    output: Path,
    method: str | None,
    rule: str | None,
    options: tuple[str, ...],
    ranks: tuple[str, ...],
    copy: str | None,
    kinds: tuple[str, ...],
    heads: str | None,
    form: str,
    include_last: bool,
    factored: str | None,
    activation: str | None,
    inputs: str | None,
    layout: str | None,
    dataset: str | None,
    as_json: bool,
) -> None:
    """Write the pruned network and print what was done."""
    from rmtviz import analysis, decomposition, folders, formats, knobs, layers, pruning
    from rmtviz.fits import METHODS
    from rmtviz.rules import RULES

    careful = method is None and rule is None
    names = [method or "bema", rule or "noise-edge"]
    knob_words = parse(options, names)
    chosen = knobs.make(METHODS, names[0], knob_words[names[0]])
    chosen_rule = knobs.make(RULES, names[1], knob_words[names[1]])
    checkpoint = declared(headed(told(copied(formats.read(model), copy), kinds), heads), factored)
    pairs = layers.suspected_pairs(checkpoint)
    if pairs and "factored" not in checkpoint.about:  # the file written would seem to know
        raise CannotRun("perhaps_factored", names=",".join(pairs))
    kind = "" if model.is_dir() and not output.suffix else format_of(output)
    with progress(say("cli.progress")) as tick:
        spectra = decomposition.decompose(checkpoint, tick, equalise=careful or method == "dyson")
        result = analysis.fit(spectra, chosen, checkpoint)
    plan = pruning.plan(
        result,
        chosen_rule,
        dict(_rank(word) for word in ranks),
        form=form,
        include_last=include_last,
        careful=careful,
    )
    given = {"activation": activation, "inputs": inputs, "layout": layout}
    pruned, places = frozen(pruning.apply(checkpoint, plan), checkpoint, dataset, given)
    before, after = (pruning.Size.of(each, places) for each in (checkpoint, pruned))
    network = pruned.about.get("network")
    network = network if isinstance(network, dict) else {}
    record = {
        "rule": names[1],
        "method": names[0],
        "options": {names[1]: knobs.values(chosen_rule), names[0]: knobs.values(chosen)},
        "output": str(output),
        "digest": pruned.digest,
        "activation": network.get("activation"),
        "inputs": network.get("inputs"),
        "layers": [dataclasses.asdict(cut) for cut in plan.cuts],
        "macs_at_one_place": before.placeless,
        **{
            f"{name}_{when}": getattr(size, name)
            for name in ("parameters", "macs", "bytes")
            for when, size in (("before", before), ("after", after))
        },
    }
    if kind:
        save(formats.write(pruned, kind), output)  # last: the model itself may be written over
    else:
        record["files"] = list(folders.write(pruned, model, output))
    click.echo(as_text(record) if as_json else cut_table(plan, before, after, output))
    if folders.LOADER in record.get("files", ()) and not as_json:
        click.echo(say("cli.loader", output=output))


@main.command(help=say("cli.evaluate"))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--dataset", default=None, help=say("cli.dataset"))
@click.option("--split", default=None, help=say("cli.split"))
@click.option("--activation", default=None, help=say("cli.activation"))
@click.option("--inputs", default=None, help=say("cli.inputs"))
@click.option("--layout", default=None, help=say("cli.layout"))
@click.option("--order", default=None, help=say("cli.order"))
@click.option("--copy", "copy", default=None, help=say("cli.copy"))
@click.option("--factored", default=None, help=say("cli.factored"))
@click.option("--json", "as_json", is_flag=True, help=say("cli.json"))
def evaluate(
    model: Path,
    dataset: str | None,
    split: str | None,
    activation: str | None,
    inputs: str | None,
    layout: str | None,
    order: str | None,
    copy: str | None,
    factored: str | None,
    as_json: bool,
) -> None:
    """Print how many of a dataset's images a network reads right."""
    from rmtviz import evaluation, formats, networks

    checkpoint = declared(copied(formats.read(model), copy), factored)
    choice, data, foreign = networks.match(
        checkpoint,
        labelled(dataset),
        activation=activation,
        inputs=inputs,
        layout=layout,
        order=tuple(order.split(",")) if order else None,
    )
    samples = data.split("all" if split in (None, "test") else split, foreign=foreign)
    found = evaluation.evaluate(choice(checkpoint), samples)
    record = {
        "dataset": found.dataset,
        "split": split or "test",
        "samples": found.samples,
        "unit": found.unit,
        "accuracy": found.accuracy,
        "loss": found.loss,
        "perplexity": found.perplexity,
        "activation": found.activation,
        "inputs": found.inputs,
        "never_predicted": list(found.never_predicted),
    }
    click.echo(as_text(record) if as_json else reading(record))


main.add_command(tradeoff)


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


def _rank(word: str) -> tuple[str, int]:
    """Return ("2", 40) of "2=40".

    Raises:
        BadOption: not of that form.
    """
    name, _, rank = word.rpartition("=")
    if not (name and rank.isdecimal() and len(rank) < 10):
        raise BadOption("rank_form", option=word)
    return name, int(rank)
