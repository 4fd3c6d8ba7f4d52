"""A cut on one page, to take away: what was done, what it saves, what it costs, how it was made."""

import html
from typing import TYPE_CHECKING

from rmtviz import pruning, verdict
from rmtviz.analysis import Analysis
from rmtviz.markup import table, tag
from rmtviz.pruning import LayerCut, PruningPlan, Size
from rmtviz.tokens import FONT, LIGHT
from rmtviz.words import language, say

if TYPE_CHECKING:
    from rmtviz.evaluation import Evaluation
    from rmtviz.trial import Trial

STYLE = f"""
body {{ font: 16px/1.5 {FONT}; color: {LIGHT.ink};
  background: {LIGHT.paper}; max-width: 46rem; margin: 3rem auto; padding: 0 1.5rem; }}
h1 {{ font-size: 1.7rem; line-height: 1.25; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: right; padding: .35rem .5rem; border-bottom: 1px solid {LIGHT.grid}; }}
th:first-child, td:first-child, .why td:last-child, .why th:last-child {{ text-align: left; }}
td:not(:first-child):not(:last-child) {{ white-space: nowrap; }}
th {{ color: {LIGHT.muted}; font-weight: 500; }}
.small {{ color: {LIGHT.muted}; font-size: .85rem; overflow-wrap: anywhere; }}
@media (max-width: 30rem) {{ body {{ font-size: 14px; margin: 1rem auto; padding: 0 1rem; }}
  h1 {{ font-size: 1.35rem; }} th, td {{ padding: .35rem .25rem; }} }}
@page {{ margin: 14mm; }}
@media print {{ body {{ font-size: 12px; background: none; margin: 0; padding: 0; }}
  h2 {{ margin-top: 1.2rem; break-after: avoid; }} table {{ break-inside: avoid; }} }}
"""


def cut_report(
    analysis: Analysis,
    plan: PruningPlan,
    sizes: tuple[Size, Size],
    read: "tuple[Evaluation, Evaluation] | None",
    trial: "Trial | None",
) -> str:
    """Return a plan's summary as one self-contained HTML page, without scripts."""
    before, after = sizes
    head = verdict.of_plan(plan, before, after, read) if plan.cuts else say("verdict.model_empty")
    parts = [
        tag("h1", head),
        tag("p", say("report.model", source=analysis.model.source)),
        tag("h2", say("report.saves")),
        table(
            [say("report.figure"), say("report.before"), say("report.after"), say("report.change")],
            [
                [
                    say(f"prune.{key}"),
                    say(f"prune.{key}_value", value=old / unit),
                    say(f"prune.{key}_value", value=new / unit),
                    say("prune.share", share=new / old - 1 if old else 0.0),
                ]
                for key, old, new, unit in (
                    ("parameters", before.parameters, after.parameters, 1),
                    ("megabytes", before.bytes, after.bytes, 1e6),
                    ("macs", before.macs, after.macs, 1),
                )
            ],
        ),
        tag("h2", say("report.costs")),
        *_costs(trial),
        tag("h2", say("report.layers")),
        table(
            [say(f"prune.column.{key}") for key in ("name", "rank", "kept", "error", "reason")],
            [
                [
                    cut.name,
                    f"{cut.rank_before} → {cut.rank_after}",
                    f"{cut.parameters_after / cut.parameters_before:.0%}",
                    f"{_error(analysis, cut):.0%}",
                    say(f"reason.{cut.reason}"),
                ]
                for cut in plan.cuts
            ],
            "why",
        ),
        tag("p", say("report.error"), "small"),
        tag("h2", say("report.made")),
        tag(
            "p",
            say("report.provenance", rule=plan.rule, method=plan.method, digest=plan.digest),
            "small",
        ),
    ]
    title = html.escape(say("report.title"))
    return (
        f'<!doctype html><html lang="{language()}"><head><meta charset="utf-8">'
        f"<title>{title}</title>"
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _error(analysis: Analysis, cut: LayerCut) -> float:
    return pruning.error(analysis[cut.name], cut.rank_after, cut.values, cut.kept)


def _costs(trial: "Trial | None") -> list[str]:
    if trial is None:
        return [tag("p", say("report.untested"))]
    return [
        tag("p", verdict.of_test(trial.before, trial.after, trial.paired)),
        tag("p", verdict.of_latency(trial.latency["before"], trial.latency["after"])),
        tag("p", say("prune.controls")),
        table(
            [say("report.control"), _accuracy(trial.before)],
            [
                [say(f"prune.control.{name}"), f"{each.accuracy:.1%}"]
                for name, each in trial.controls.items()
            ],
        ),
    ]


def _accuracy(read: "Evaluation") -> str:
    return say("report.accuracy", samples=read.samples, unit=say(f"unit.{read.unit}"))
