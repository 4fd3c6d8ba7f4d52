"""The command that trains a network, and cuts it meanwhile where it is told to."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from rmtviz.cli.given import labelled
from rmtviz.cli.show import progress
from rmtviz.cli.written import format_of, save
from rmtviz.errors import BadOption
from rmtviz.words import say

CLI_RUNS = 10
"""So many unfinished runs of the command line are kept for `--resume`; the oldest go first."""


@click.command(help=say("cli.train"))
@click.argument("data", required=False)
@click.option("--dataset", show_default="mnist", help=say("cli.dataset_train"))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help=say("cli.out"))
@click.option("--widths", default="512,256", show_default=True, help=say("cli.widths"))
@click.option("--epochs", type=int, default=10, show_default=True, help=say("cli.epochs"))
@click.option("--batch-size", type=int, help=say("cli.batch"))
@click.option("--optimiser", default="adam", show_default=True, help=say("cli.optimiser"))
@click.option(
    "--learning-rate", type=float, default=1e-3, show_default=True, help=say("cli.learning_rate")
)
@click.option("--momentum", type=float, default=0.9, show_default=True, help=say("cli.momentum"))
@click.option("--rate", default="cosine", show_default=True, help=say("cli.rate"))
@click.option("--weight-decay", type=float, default=0.0, show_default=True, help=say("cli.decay"))
@click.option("--dropout", type=float, default=0.0, show_default=True, help=say("cli.dropout"))
@click.option("--magnitude", type=float, default=0.0, show_default=True, help=say("cli.magnitude"))
@click.option("--patience", type=int, default=0, show_default=True, help=say("cli.patience"))
@click.option("--label-noise", type=float, default=0.0, show_default=True, help=say("cli.noise"))
@click.option(
    "--train-samples", type=int, default=55_000, show_default=True, help=say("cli.images")
)
@click.option("--logits", default="linear", show_default=True, help=say("cli.logits"))
@click.option("--seed", type=int, default=0, show_default=True, help=say("cli.seed"))
@click.option("--schedule", default=None, help=say("cli.schedule"))
@click.option("--rule", default="bulk-share", show_default=True, help=say("cli.rule_train"))
@click.option("--option", "options", multiple=True, help=say("cli.option_train"))
@click.option("--resume", is_flag=True, help=say("cli.resume"))
@click.option("--json", "as_json", is_flag=True, help=say("cli.json_lines"))
def train(
    data: str | None,
    dataset: str | None,
    output: Path,
    widths: str,
    batch_size: int | None,
    schedule: str | None,
    rule: str,
    options: tuple[str, ...],
    resume: bool,
    as_json: bool,
    **settings: Any,
) -> None:
    """Train a network, a line an epoch, and write it."""
    kind = format_of(output)
    from rmtviz import evaluation, formats, knobs, training
    from rmtviz.rules import RULES
    from rmtviz.schedules import SCHEDULES
    from rmtviz.site import data_home, make_room

    tables: dict[str, Mapping[str, type]] = {rule: RULES}
    if schedule is not None:
        tables = {schedule: SCHEDULES} | tables
    elif options:
        raise BadOption("no_schedule", option=options[0])
    words = shared(options, tables)
    made = {name: knobs.make(table, name, words[name]) for name, table in tables.items()}
    if data and dataset:
        raise BadOption("data_twice", one=data, other=dataset)
    given = labelled(data or dataset or "mnist")
    own = given if given.digest else None
    named = training.naming(own) if own else {"dataset": given.key}
    recipe = training.Training(
        **(named if batch_size is None else named | {"batch_size": batch_size}),
        widths=training.widths(widths),
        schedule=made[schedule] if schedule is not None else None,
        rule=made[rule],
        **settings,
    )
    place = hashlib.sha256(str(output.absolute()).encode()).hexdigest()[:16]
    folder = data_home() / "runs" / f"cli-{place}"
    make_room(folder.parent, "cli-*", CLI_RUNS, frozenset([folder.name]))
    bar = progress(say("cli.training"), left=False)

    def batch(place: training.Progress) -> None:
        bar.tick((place.epoch - 1) * place.steps + place.step, recipe.epochs * place.steps)

    trained = recipe.data(own)
    selection = len(trained.split("selection"))
    with bar:
        for record in training.train(recipe, folder, resume, batch, own):
            last = record
            if record.epoch or record.cut:
                bar.clear()
                click.echo(json.dumps(line(record)) if as_json else say_epoch(record, selection))
    save(formats.write(last.checkpoint, kind), output)
    shutil.rmtree(folder, ignore_errors=True)
    network = recipe.network(trained)(last.checkpoint)
    found = evaluation.evaluate(network, trained.split("test"))
    end = {
        "output": str(output),
        "dataset": recipe.dataset,
        "selection_samples": selection,
        "digest": last.checkpoint.digest,
        "test_accuracy": found.accuracy,
        "test_samples": found.samples,
        "parameters": last.parameters,
    }
    click.echo(json.dumps(end) if as_json else say("cli.trained", **end))


def line(record: Any) -> dict[str, Any]:
    """Return an epoch as one JSON object; "cut" is in it only where something was cut."""
    row: dict[str, Any] = record.row()
    return {name: value for name, value in row.items() if name != "cut" or value}


def say_epoch(record: Any, selection: int) -> str:
    """Return an epoch as a line, with the number of selection samples, and a cut as another."""
    row = record.row()
    words = say("cli.epoch", samples=selection, **row)
    if not row["cut"]:
        return words
    cuts = ", ".join(
        f"{each['name']}: {each['rank_before']} → {each['rank_after']}"
        for each in row["cut"]["layers"]
        if each["form"] != "whole"
    )
    return words + "\n" + say("cli.cut_made", cuts=cuts, parameters=row["parameters"])


def shared(
    options: Sequence[str], tables: Mapping[str, Mapping[str, type]]
) -> dict[str, dict[str, str]]:
    """Return the words of "knob=value" (or "name.knob=value") by the choice that they belong to.

    `tables` are the choices in use, each with the table that lists it. A knob without a name
    belongs to the first of them that has it.

    Raises:
        BadOption: not of that form, a choice that is not in use, or a knob of none of them.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in tables}
    knobs = {
        name: [field.name for field in dataclasses.fields(table[name])] if name in table else []
        for name, table in tables.items()
    }
    for option in options:
        path, equals, value = option.partition("=")
        owner, _, knob = path.rpartition(".")
        knob = knob.replace("-", "_")
        if not (equals and knob):
            raise BadOption("option_form_train", option=option)
        if owner and owner not in found:
            used = ", ".join(found)
            raise BadOption("option_unused", option=path, owner=owner, used=used)
        owner = owner or next((name for name in found if knob in knobs[name]), next(iter(found)))
        found[owner][knob] = value
    return found
