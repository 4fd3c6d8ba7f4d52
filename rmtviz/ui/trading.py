"""The parts of the studio that show what was tried: the frontier, and the rules side by side."""

import math
import re
from collections.abc import Sequence

import streamlit as st

from rmtviz import frontier
from rmtviz.budget import Budget
from rmtviz.costs import Size
from rmtviz.cuts import PruningPlan
from rmtviz.evaluation import Evaluation
from rmtviz.fits import METHODS, Method
from rmtviz.ui import data, models, panels, running, session, widgets
from rmtviz.ui.library import Model
from rmtviz.ui.panels import Axis, Line, Panel, Point, Rule
from rmtviz.ui.running import Running
from rmtviz.ui.study import Study, Watch
from rmtviz.words import say
from rmtviz.workpiece import Outcome

REFRESH = 0.7
"""Seconds between two looks at a study that goes on."""

COSTS = ("parameters", "bytes", "macs")
"""What a network may cost, as `Size` names it."""

SERIES = {
    "noise-edge": Point(0, 0, "", "up", "theory", size=5),
    "optimal-threshold": Point(0, 0, "", "down", "theory", size=5),
    "shrinkage": Point(0, 0, "", "diamond", "theory", size=5),
    "screenot": Point(0, 0, "", "square", "theory", size=5),
    "energy": Point(0, 0, "", "circle", hollow=True),
    "rank": Point(0, 0, "", "square", hollow=True),
    "whitened": Point(0, 0, "", "circle"),
    "whitened-sequential": Point(0, 0, "", "diamond"),
    "whitened-no-bias": Point(0, 0, "", "up", hollow=True),
    "whitened-sparse": Point(0, 0, "", "down"),
    "magnitude": Point(0, 0, "", "cross"),
    "random": Point(0, 0, "", "plus", "noise"),
    "search": Point(0, 0, "", "star", size=3.5),
}
"""How a family looks: orange where the law of noise says the cut, grey where chance does."""

POINTS = (-50, -20, -10, -5, -2, -1, -0.5, 0, 0.5, 1, 2, 5, 10, 20)
"""Where the axis of accuracy has words, in points from the whole network."""

LOWEST = 0.01
"""Where the axis of size begins, as a share of the whole network."""


@st.cache_resource(scope="session", on_release=Watch.leave, show_spinner=False)
def watch() -> Watch:
    """Return what this tab looks at, until its connection ends; what nobody looks at rests."""
    return Watch()


def study(run: Running, method: Method) -> Study:
    """Return the study of a running network, kept with its model."""
    return run.model.memo(("study", run.key, method), lambda: Study(running.piece(run, method)))


def found(key: str) -> tuple[Running, Study] | None:
    """Return a model's study, from words that outlive it; None if the model was forgotten."""
    model = session.find(key)
    if model is None:
        return None
    run = running.running(model, *data.how(model))
    return run, study(run, widgets.standing(METHODS, "method"))


def picture(
    run: Running,
    tried: Sequence[Outcome],
    cost: str,
    wanted: Budget,
    marked: dict[str, Outcome],
) -> str | None:
    """Draw the frontier; return the id of the plan that was clicked: see `named`."""
    model, size = run.model, running.whole_size(run.model, run)
    return panels.show(
        "frontier",
        [panel(running.whole(run), size, tried, cost, wanted, marked)],
        [shown for name in SERIES if (shown := legend(name, tried))],
        {
            "title": say("studio.picture_title", model=models.title(model)),
            "alt": say("studio.picture_alt", count=len(tried)),
            "code": lines("frontier", model),
            "file": "frontier",
        },
        session.mode(),
        wide=320,
        high=440,
    )


def panel(
    whole: Evaluation,
    size: Size,
    tried: Sequence[Outcome],
    cost: str,
    wanted: Budget,
    marked: dict[str, Outcome],
) -> Panel:
    """Return the panel of the frontier: its axes depend on nothing that is still to come.

    `whole` and `size` are the whole network's; `tried` begins with it, if with any; `marked` are
    outcomes with a ring and a word.
    """
    whole_cost = float(getattr(size, cost))
    best = frontier.pareto(tried, cost)
    rings = [
        _point(each, cost, whole, "circle", hollow=True, size=9, label=say(f"studio.mark_{name}"))
        for name, each in marked.items()
    ]
    rules = []
    if wanted.lose is not None:
        text = say("studio.rule_lose", points=100 * wanted.lose)
        rules.append(Rule(text, y=-100 * wanted.lose))
    elif wanted.most is not None and wanted.cost == cost:
        rules.append(Rule(say("studio.rule_most"), x=wanted.most))
    return Panel(
        x=Axis(
            "log",
            LOWEST * whole_cost,
            1.25 * whole_cost,
            [(x, short(x)) for x in _decades(LOWEST * whole_cost, 1.25 * whole_cost)],
            say(f"studio.axis_{cost}"),
        ),
        y=points_axis(whole),
        points=[*(_point(each, cost, whole) for each in tried[1:]), *rings],
        lines=[
            Line(
                [getattr(each.size, cost) for each in best],
                [points(each, whole) for each in best],
                say("studio.pareto"),
                colour="learnt",
            )
        ],
        rules=rules,
        title=say("studio.axis_accuracy", samples=whole.samples, unit=say(f"unit.{whole.unit}")),
    )


def points_axis(whole: Evaluation) -> Axis:
    """Return the axis of accuracy: points from the whole network, wide near it, narrow far."""
    low, high = -100 * whole.accuracy, min(100 * (1 - whole.accuracy), 20.0)
    ticks = [
        (each, say("studio.tick", points=each) if each else f"{whole.accuracy:.1%}")
        for each in POINTS
        if low < each <= high
    ]
    return Axis("asinh", low, max(high, 0.5), ticks, unit=0.5)


def points(found: Outcome, whole: Evaluation) -> float:
    """Return by how many points an outcome reads more than the whole network."""
    return 100 * (found.accuracy - whole.accuracy)


def named(found: Outcome) -> str:
    """Return the id of an outcome in the picture."""
    return f"{found.family} {found.plan.rule}"


def legend(family: str, tried: Sequence[Outcome]) -> Point | None:
    """Return how a family is shown in the legend, if any of it was tried."""
    if all(each.family != family for each in tried):
        return None
    look = SERIES[family]
    return Point(0, 0, title(family), look.shape, look.colour, look.hollow, look.size)


def title(family: str) -> str:
    """Return a family's name, or a rule's that is none of them."""
    known = family in SERIES or family in ("whole", "plan")
    return say(f"studio.family.{family}" if known else f"choice.{family}.title")


def family(plan: PruningPlan) -> str:
    """Return the family of a plan, by the rule that made it."""
    name = plan.rule.partition("(")[0]
    if name != "whitened":
        return name
    how = plan.calibration
    if how is None or how.affine:
        part = "-sparse" if plan.density < 1 else "-sequential" if how and how.sequential else ""
        return name + part
    return f"{name}-no-bias"


def setting(plan: PruningPlan) -> str:
    """Return the setting of a plan's rule in words, empty where it has none."""
    ranks = [str(cut.rank_after) for cut in plan.cuts if cut.form != "whole"]
    own = any(cut.reason == "chosen" for cut in plan.cuts)
    if own and not plan.rule.startswith("whitened"):
        return say("studio.setting.ranks", ranks=", ".join(ranks))
    known = dict(re.findall(r"(share|rank|density)=([\d.]+)", plan.rule))
    if family(plan) == "magnitude":
        known = {"density": str(plan.density)}
    if plan.density == 1:
        known.pop("density", None)
    return ", ".join(say(f"studio.setting.{name}", value=value) for name, value in known.items())


def table(tried: Sequence[Outcome], wanted: Budget, design: float) -> None:
    """Draw the rules side by side: each family's best within the budget, or all that were tried.

    `design` widens the standard errors where samples depend on each other.
    """
    every = st.toggle(say("studio.every"), key="studio_every", help=say("studio.every_help"))
    shown = tried if every else best_of_each(tried, wanted)
    st.dataframe(
        [row(each, wanted, tried[0], design) for each in shown],
        column_config={
            name: st.column_config.Column(say(f"studio.column.{name}"), width=width)
            for name, width in (("family", 190), ("setting", 130), ("interval", 130))
        }
        | {
            name: st.column_config.NumberColumn(say(f"studio.column.{name}"), format=form)
            for name, form in (
                ("accuracy", "%.2f %%"),
                ("error", "± %.2f"),
                ("points", "%+.2f"),
                ("parameters", "localized"),
                ("bytes", "localized"),  # as "bytes" a Japanese browser writes 47.2万B
                ("macs", "localized"),
            )
        }
        | {
            "within": st.column_config.CheckboxColumn(
                say("studio.column.within"), help=say("studio.column.within_help")
            )
        },
        hide_index=True,
        key="studio_rules",
        alt=say("studio.table_alt"),
    )
    st.caption(say("studio.zeros"))


def best_of_each(tried: Sequence[Outcome], wanted: Budget) -> list[Outcome]:
    """Return each family's best for a budget; where none is within it, the one that comes next."""
    families = dict.fromkeys(each.family for each in tried)
    return [
        max((x for x in tried if x.family == family), key=lambda x: wanted.worth(x, tried[0]))
        for family in families
    ]


def row(found: Outcome, wanted: Budget, whole: Outcome, design: float) -> dict[str, object]:
    """Return an outcome's row in the table."""
    paired = found.paired
    return {
        "family": title(found.family),
        "setting": setting(found.plan),
        "within": wanted.met(found, whole),
        "accuracy": 100 * found.accuracy,
        "error": 100 * spread(found, design),
        "points": 100 * paired.difference,
        "interval": say("studio.interval", low=100 * paired.low, high=100 * paired.high),
        "parameters": found.size.parameters,
        "bytes": found.size.bytes,
        "macs": found.size.macs,
    }


def spread(found: Outcome, design: float = 1.0) -> float:
    """Return the standard error of an outcome's accuracy, times `design`."""
    return design * math.sqrt(found.accuracy * (1 - found.accuracy) / found.samples)


def lines(name: str, model: Model) -> str:
    """Return the lines of Python that compute what a picture of this page shows."""
    begin = say("studio.code_begin", source=repr(models.source(model)))
    return f"{begin.strip()}\n\n{say(f'studio.code_{name}').strip()}\n"


def short(value: float) -> str:
    """Return a count in few letters: 20k, 1.5M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _point(found: Outcome, cost: str, whole: Evaluation, *shape: str, **more: object) -> Point:
    family = found.family if found.family in SERIES else "search"
    look = SERIES[family]
    own = {"shape": look.shape, "colour": look.colour, "hollow": look.hollow, "size": look.size}
    if shape:
        own |= {"shape": shape[0], "colour": "ink"}
    return Point(
        x=getattr(found.size, cost),
        y=points(found, whole),
        series=title(found.family),
        says=_says(found, whole),
        id=named(found),
        **(own | more),  # type: ignore[arg-type]
    )


def _says(found: Outcome, whole: Evaluation) -> tuple[str, ...]:
    paired = found.paired
    return (
        " · ".join(filter(None, (title(found.family), setting(found.plan)))),
        say(
            "studio.tip_accuracy",
            accuracy=found.accuracy,
            low=100 * paired.low,
            high=100 * paired.high,
        ),
        say(
            "studio.tip_size",
            parameters=found.size.parameters,
            kilobytes=found.size.bytes / 1e3,
            macs=found.size.macs,
        ),
    )


def _decades(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times each power of ten within a range."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = [digit * 10.0**power for power in range(first, last + 1) for digit in (1, 2, 5)]
    return [step for step in steps if low <= step <= high]
