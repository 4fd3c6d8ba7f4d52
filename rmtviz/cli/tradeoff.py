"""`rmtviz tradeoff`: all rules on one network, and the smallest network within a budget."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rmtviz.cli.given import labelled
from rmtviz.cli.show import as_text, columns, progress
from rmtviz.cli.written import format_of, save
from rmtviz.errors import BadOption
from rmtviz.words import say

if TYPE_CHECKING:
    from rmtviz.workpiece import Outcome, Report, Workpiece

SHOWN = 0.05
"""The table shows the networks that read at most so much less right than the best."""


@click.command(help=say("cli.tradeoff"))
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--dataset", default=None, help=say("cli.dataset"))
@click.option("--lose", default=None, help=say("cli.lose"))
@click.option("--bytes", "nbytes", default=None, help=say("cli.bytes"))
@click.option("--macs", default=None, help=say("cli.macs"))
@click.option("-o", "--output", type=click.Path(path_type=Path), help=say("cli.out_chosen"))
@click.option("--activation", default=None, help=say("cli.activation"))
@click.option("--inputs", default=None, help=say("cli.inputs"))
@click.option("--layout", default=None, help=say("cli.layout"))
@click.option("--json", "as_json", is_flag=True, help=say("cli.json"))
def tradeoff(
    model: Path,
    dataset: str | None,
    lose: str | None,
    nbytes: str | None,
    macs: str | None,
    output: Path | None,
    activation: str | None,
    inputs: str | None,
    layout: str | None,
    as_json: bool,
) -> None:
    """Print what all rules trade, and what the search chose; write the chosen network."""
    given = {"lose": lose, "bytes": nbytes, "macs": macs}
    named = {kind: words for kind, words in given.items() if words is not None}
    if len(named) > 1:
        raise BadOption("budget_several", given=", ".join(f"--{kind}" for kind in named))
    kind = format_of(output) if output else None
    from rmtviz import budget, formats, networks
    from rmtviz.workpiece import Workpiece

    checkpoint = formats.read(model)
    choice, data, foreign = networks.match(
        checkpoint, labelled(dataset), activation=activation, inputs=inputs, layout=layout
    )
    piece = Workpiece.of(checkpoint, choice, data, foreign)
    wanted = budget.Budget()
    for each, words in named.items():
        wanted = budget.parse(each, words, piece.whole)
    found, searched = _tried(piece, wanted)
    storable = [each for each in found if each.plan.density == 1]  # zeros would stay in the file
    chosen = wanted.chosen([piece.whole, *storable, *searched], piece.whole)
    report = piece.report(chosen.plan, data.split("test", foreign=foreign))
    budget_words = " ".join(*named.items()) if named else "accuracy"
    record = _record(piece, budget_words, chosen, report, [*found, *searched])
    if output and kind:
        written = piece.cut(chosen.plan).with_about(network=choice.record())
        save(formats.write(written, kind), output)
    if as_json:
        click.echo(as_text(record))
        return
    for line in _lines(piece, budget_words, chosen, report, [*found, *searched]):
        click.echo(line)
    if output:
        click.echo(say("cli.written", output=output))


def _tried(piece: "Workpiece", wanted: Any) -> tuple[list["Outcome"], list["Outcome"]]:
    """Return what all rules give, and what the search tried."""
    from rmtviz import budget, frontier

    recipes = sum(map(len, frontier.FAMILIES.values()))
    layers = len(piece.network.layers)
    steps = recipes + layers + budget.MOST // 2
    found: list[Outcome] = []
    searched: list[Outcome] = []
    with progress(say("cli.trading")) as tick:
        for each in frontier.outcomes(piece, frontier.FAMILIES):
            found.append(each)
            tick(len(found), steps)
        curves = {curve.layer: curve for curve in budget.curves(piece)}
        for each in budget.search(piece, wanted, list(curves.values())):
            searched.append(each)
            tick(min(steps, recipes + layers + len(searched)), steps)
    return found, searched


def _record(
    piece: "Workpiece",
    budget: str,
    chosen: "Outcome",
    report: "Report",
    found: Sequence["Outcome"],
) -> Mapping[str, Any]:
    """Return all that is printed as JSON: accuracies on test images, the frontier's on selection.

    Of the frontier every network that was tried is a point, from the smallest on.
    """
    test = {"accuracy": report.before.accuracy, "samples": report.before.samples}
    own = {"accuracy": report.after.accuracy, "samples": report.after.samples}
    points = sorted(found, key=lambda one: (one.size.parameters, one.accuracy))
    return {
        "budget": budget,
        "original": _costs(piece.whole) | test,
        "chosen": {
            **_costs(chosen),
            **own,
            "accuracy_error": report.after.standard_error,
            "paired": asdict(report.paired),
            "plan": json.loads(chosen.plan.to_json()),
        },
        "selection": {"accuracy": piece.whole.accuracy, "samples": piece.whole.samples},
        "frontier": [
            {
                "rule": point.family,
                "parameters": point.size.parameters,
                "macs": point.size.macs,
                "accuracy": point.accuracy,
            }
            for point in points
        ],
    }


def _costs(outcome: "Outcome") -> dict[str, int]:
    size = outcome.size
    return {"parameters": size.parameters, "bytes": size.bytes, "macs": size.macs}


def _lines(
    piece: "Workpiece",
    budget: str,
    chosen: "Outcome",
    report: "Report",
    found: Sequence["Outcome"],
) -> list[str]:
    """Return the same for people: the points that no other beats, and the choice."""
    from rmtviz import frontier, verdict

    best = frontier.pareto([piece.whole, *found])
    rows = [
        {
            "family": point.family,
            "parameters": f"{point.size.parameters:,}",
            "macs": f"{point.size.macs:,}",
            "accuracy": f"{point.accuracy:.2%}",
        }
        for point in best
        if point.accuracy >= best[-1].accuracy - SHOWN
    ]
    head = say("cli.tried", count=len(found), samples=piece.whole.samples)
    if chosen.plan.nothing:
        end = [say("cli.kept_whole", budget=budget, samples=piece.whole.samples)]
    else:
        before = piece.whole.size.parameters
        share = chosen.size.parameters / before
        words = _costs(chosen) | {"rule": chosen.plan.rule, "before": before, "share": share}
        end = [
            say("cli.chosen", budget=budget, **words),
            verdict.of_test(report.before, report.after, report.paired),
        ]
    return [head, "", *columns(rows), "", *end]
