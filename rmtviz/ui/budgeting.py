"""The parts of the studio that decide: what is wanted, the answer, the test, the way on."""

from collections.abc import Sequence

import streamlit as st

from rmtviz import formats, verdict
from rmtviz.budget import Budget
from rmtviz.costs import Size
from rmtviz.errors import BadOption
from rmtviz.ui import links, plans, trading, widgets
from rmtviz.ui.running import Running
from rmtviz.ui.study import Study
from rmtviz.words import say
from rmtviz.workpiece import Outcome, Report

KINDS = ("lose", "bytes", "macs", "parameters", "none")
"""What a budget may limit; without one the most accurate network is wanted."""

AMOUNTS = {"lose": 0.5, "bytes": 1.0, "macs": 50.0, "parameters": 10.0}
"""Where the amounts begin: points, megabytes, and percent of the whole network's."""

FINEST = {"lose": 0.1, "bytes": 0.1, "macs": 5.0, "parameters": 0.5}
"""By how much a press changes an amount."""


def wanted(whole: Size) -> Budget:
    """Draw what is wanted of a network of this size, bound to the address; return it."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = links.choice(
            st.segmented_control,
            say("studio.budget"),
            KINDS,
            "budget",
            format_func=lambda name: say(f"studio.budget_{name}"),
            required=True,
            wrap=True,
            help=say("studio.budget_help"),
        )
        return budget(kind, _amount(kind), whole) if kind in AMOUNTS else Budget()


def budget(kind: str, amount: float, whole: Size) -> Budget:
    """Return the budget of a kind and its amount."""
    if kind == "lose":
        return Budget(lose=amount / 100)
    if kind == "bytes":
        return Budget("bytes", most=1e6 * amount)
    return Budget(kind, most=amount / 100 * getattr(whole, kind))


def _amount(kind: str) -> float:
    """Draw the amount of a budget of a kind; the address has it where it was changed."""
    key, usual = f"amount_{kind}", AMOUNTS[kind]
    if links.fresh("amount"):
        word = st.query_params.get("amount", "")
        if word.replace(".", "", 1).isdecimal() and len(word) < 12:
            st.session_state[key] = float(word)
        elif links.turned():
            st.session_state.pop(key, None)
    most = None if kind == "bytes" else 100.0
    now = float(st.session_state.get(key, usual))
    if now < FINEST[kind] or (most and now > most):
        now = usual
    links.stand(key, now)
    if not links.bare():
        now = st.number_input(
            say(f"studio.amount_{kind}"),
            FINEST[kind],
            most,
            step=FINEST[kind],
            format="%.1f",
            key=key,
            persist_state="session",
            width=180,
        )
    links.put("amount", None if now == usual else f"{now:g}")
    return now


def answer(study: Study, budget: Budget, unit: str) -> Outcome | None:
    """Draw how far the search is, and the verdict in one sentence; return the answer by now.

    Chosen among all that were tried, the search's plans and the rules', of those that a file
    stores as they are counted: no file here leaves out zeros.
    """
    searched = study.search(budget)
    tried = study.frontier.found + (searched.found if searched else ())
    if not tried:
        st.markdown(say("studio.begun"))
        return None
    whole = tried[0]
    over = study.frontier.over and searched is not None and searched.over
    try:
        best = budget.chosen([each for each in tried if each.plan.density == 1], whole)
    except BadOption as problem:
        if over:
            widgets.refusal(problem, st.info, ":material/info:")
        else:
            st.subheader(say("studio.none_yet"), anchor=False)
            progress(study, len(tried), over)
        return None
    st.subheader(sentence(best, whole, unit), anchor=False)
    progress(study, len(tried), over)
    if gain := gained(tried):
        st.markdown(gain)
    return best


def sentence(best: Outcome, whole: Outcome, unit: str) -> str:
    """Return the verdict for somebody who decides."""
    size, before = best.size, whole.size
    if best.plan.cuts == whole.plan.cuts:
        return say("studio.verdict_whole", samples=whole.samples, unit=unit)
    return say(
        "studio.verdict",
        accuracy=best.accuracy,
        whole=whole.accuracy,
        samples=best.samples,
        unit=unit,
        share=size.parameters / before.parameters,
        times=before.parameters / size.parameters,
        megabytes=size.bytes / 1e6,
    )


def gained(tried: Sequence[Outcome]) -> str:
    """Return that cutting makes the network better, and what the noise edge has of it, if so."""
    edge = next((each for each in tried if each.family == "noise-edge"), None)
    most = max(tried, key=lambda each: each.paired.low)
    if edge is None or most.paired.low <= 0 or most is edge:
        return ""
    return say(
        "studio.gained",
        most=100 * most.paired.difference,
        edge=100 * edge.paired.difference,
        samples=most.samples,
    )


def progress(study: Study, tried: int, over: bool) -> None:
    """Say how many plans were tried, and how far the study is."""
    for problem in study.problems:
        widgets.refusal(problem, st.info, ":material/info:")
    if over:
        st.caption(say("studio.tried", count=tried))
        return
    share = min(1.0, study.done / study.expected)
    st.progress(share, text=say("studio.trying", count=tried))


def decide(run: Running, study: Study, chosen: Outcome) -> None:
    """Draw what can be done with a plan: test it, use it, take it away."""
    plan = chosen.plan
    unit = say(f"unit.{run.dataset.unit}")
    whole = plan.nothing
    asked: set[object] = st.session_state.setdefault("studio_tested", set())
    token = (run.key, plan)
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(
            say("studio.test"),
            icon=":material/fact_check:",
            type="primary",
            disabled=whole or not study.over,
            help=say("studio.test_help", samples=len(run.samples("test").labels), unit=unit),
        ):
            asked.add(token)
        if st.button(
            say("studio.use"), icon=":material/content_cut:", disabled=whole, help=_use_help(chosen)
        ):
            plans.adopt(run.model.digest, plan)
            st.switch_page(widgets.page("prune"))
        st.download_button(
            say("studio.download"),
            lambda: written(run, study, chosen),
            f"{_stem(run)}-small.safetensors",
            icon=":material/download:",
            on_click="ignore",
            disabled=whole,
        )
    if token in asked:
        with st.spinner(say("prune.test_wait")):
            report = tested(run, study, chosen)
        shown(report, unit)


def tested(run: Running, study: Study, chosen: Outcome) -> Report:
    """Return a plan on the test samples, read once and kept with the model."""
    return run.model.memo(
        ("reported", run.key, chosen.plan),
        lambda: study.piece.report(chosen.plan, run.samples("test")),
    )


def shown(report: Report, unit: str) -> None:
    """Draw what the test samples say."""
    paired = report.paired
    st.markdown(f"**{verdict.of_test(report.before, report.after, paired)}**")
    with st.container(horizontal=True):
        st.metric(
            say("studio.test_accuracy", samples=report.after.samples, unit=unit),
            f"{report.after.accuracy:.2%}",
            say("prune.points", points=100 * paired.difference),
            delta_color="off" if paired.low <= 0 <= paired.high else "normal",
            delta_description=say("prune.against"),
            border=True,
            help=say("studio.test_interval", low=100 * paired.low, high=100 * paired.high),
        )
        for name, count in (
            ("to_right", paired.flipped_to_right),
            ("to_wrong", paired.flipped_to_wrong),
        ):
            st.metric(say(f"studio.{name}"), f"{count:,}", border=True)


def written(run: Running, study: Study, chosen: Outcome) -> bytes:
    """Return the network cut by a plan as a file, with how it runs in its record."""
    cut = study.piece.cut(chosen.plan).with_about(network=run.choice.record())
    return formats.write(cut, "safetensors")


def pick(tried: Sequence[Outcome], best: Outcome | None, unit: str) -> Outcome | None:
    """Return the plan that is decided on: the answer, or one that was clicked, and say which."""
    clicked = st.session_state.get("studio_picked")
    picked = next((each for each in tried if trading.named(each) == clicked), best)
    if picked is None or (best and trading.named(picked) == trading.named(best)):
        return best
    family, setting = trading.title(picked.family), trading.setting(picked.plan)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(say("studio.picked", family=family, setting=setting))
        st.button(
            say("studio.back"),
            icon=":material/undo:",
            on_click=st.session_state.pop,
            args=("studio_picked", None),
        )
    st.markdown(sentence(picked, tried[0], unit))
    return picked


def _use_help(chosen: Outcome) -> str:
    by_data = chosen.plan.calibration is not None
    return say("studio.use_help_data" if by_data else "studio.use_help")


def _stem(run: Running) -> str:
    source = run.model.spectra.model.source
    return source.rpartition(".")[0] or source
