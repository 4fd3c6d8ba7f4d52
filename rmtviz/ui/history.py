"""Every plan that the visitor tried: rows to go back to, compare, delete, export and import.

A row is a name and a plan; what it costs and reads is measured by the study, also for a row
that was imported. The rows are kept with the session, by the digest of the network.
"""

import json
from collections.abc import Mapping

import streamlit as st

from rmtviz import pruning
from rmtviz.cuts import PruningPlan
from rmtviz.errors import PlanRefused
from rmtviz.rules import Off
from rmtviz.ui import comparing, plans, running, trading, widgets
from rmtviz.ui.running import Running
from rmtviz.ui.study import Study
from rmtviz.words import say
from rmtviz.workpiece import Outcome

MOST = 30
"""So many plans are kept; the oldest go first."""

IMPORTED_MB = 5


def rows(digest: str) -> dict[str, PruningPlan]:
    """Return the visitor's plans by name, in the order in which they were tried."""
    return dict(st.session_state.get("history", {}).get(digest, {}))


def note(plan: PruningPlan) -> None:
    """Add a plan to the rows, if it is none of them yet and cuts something."""
    mine = rows(plan.digest)
    if plan in mine.values() or plan.nothing:
        return
    turns = st.session_state.setdefault("history_turns", {})
    turns[plan.digest] = turns.get(plan.digest, 0) + 1
    mine[named(turns[plan.digest], plan)] = plan
    _keep(plan.digest, dict(list(mine.items())[-MOST:]))


def named(number: int, plan: PruningPlan) -> str:
    """Return the name of a row: its number, its rule and setting."""
    words = filter(None, (trading.title(trading.family(plan)), trading.setting(plan)))
    return say("studio.history_name", number=number, words=", ".join(words))


def delete(digest: str, name: str) -> None:
    """Take a row out; the plan in use stays in use."""
    _keep(digest, {key: plan for key, plan in rows(digest).items() if key != name})


@st.fragment
def draw(key: str) -> None:
    """Draw the rows and what can be done with them, apart from what is drawn again and again.

    It is given words only, as Streamlit keeps them after a tab is closed.
    """
    known = trading.found(key)
    if known is None:
        st.rerun()
    run, study = known
    digest = run.model.digest
    mine = rows(digest)
    st.subheader(say("studio.history"), anchor=False)
    with st.spinner(say("studio.history_wait")):
        found = {name: measured(run, study, plan) for name, plan in mine.items()}
    if mine:
        _table(found, study, running.whole(run).design)
        if st.session_state.get("row") not in mine:
            st.session_state["row"] = list(mine)[-1]
        name = st.selectbox(say("studio.history_row"), list(mine), key="row")
        _acts(digest, name, mine[name])
        comparing.draw(run, study, mine, name)
    else:
        st.caption(say("studio.history_empty"))
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button(
            say("studio.original"),
            icon=":material/restart_alt:",
            help=say("studio.original_help"),
        ):
            plans.adopt(digest, pruning.plan(study.piece.analysis, Off()))
            st.rerun()
        st.download_button(
            say("studio.export"),
            exported(mine, found, running.whole(run).design),
            "plans.json",
            "application/json",
            icon=":material/data_object:",
            on_click="ignore",
            disabled=not mine,
        )
        with st.popover(say("studio.import"), icon=":material/upload_file:"):
            _upload(digest)
    if problem := st.session_state.pop("history_problem", None):
        widgets.refusal(problem)


def measured(run: Running, study: Study, plan: PruningPlan) -> Outcome:
    """Return what a plan costs and reads, kept with the model."""
    return run.model.memo(("judged", run.key, plan), lambda: study.piece.judge("plan", plan))


def exported(
    mine: Mapping[str, PruningPlan], found: Mapping[str, Outcome], design: float = 1.0
) -> str:
    """Return the rows as JSON: each plan, and what was measured of it, for whoever reads it."""
    return json.dumps(
        [
            {
                "name": name,
                "plan": json.loads(plan.to_json()),
                "measured": _figures(found[name], design),
            }
            for name, plan in mine.items()
        ],
        indent=1,
    )


def imported(text: str, digest: str) -> list[PruningPlan]:
    """Return the plans of an export.

    Raises:
        PlanRefused: it holds something else, or plans of another network.
    """
    try:
        found = [PruningPlan.from_json(json.dumps(each["plan"])) for each in json.loads(text)]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise PlanRefused("plan_unreadable") from None
    for plan in found:
        if plan.digest != digest:
            raise PlanRefused("plan_other", plan=plan.digest[:12], checkpoint=digest[:12])
    return found[:MOST]


def _acts(digest: str, name: str, plan: PruningPlan) -> None:
    with st.container(horizontal=True):
        if st.button(
            say("studio.go_back"),
            icon=":material/history:",
            disabled=plans.adopted(digest) == plan,
            help=say("studio.go_back_help"),
        ):
            plans.adopt(digest, plan)
            st.rerun()
        st.button(
            say("studio.delete"),
            icon=":material/delete:",
            on_click=delete,
            args=(digest, name),
        )


def _upload(digest: str) -> None:
    st.markdown(say("studio.import_help"))
    turn = st.session_state.setdefault("history_turn", 0)
    file = st.file_uploader(
        say("studio.import"),
        type=["json"],
        key=f"history_{turn}",
        max_upload_size=IMPORTED_MB,
        label_visibility="collapsed",
    )
    if file is None:
        return
    st.session_state["history_turn"] = turn + 1
    try:
        for plan in imported(file.getvalue().decode("utf-8", "replace"), digest):
            note(plan)
    except PlanRefused as problem:
        st.session_state["history_problem"] = problem
    st.rerun()


def _table(found: Mapping[str, Outcome], study: Study, design: float) -> None:
    times = study.latencies
    none = say("explore.none")
    st.table(
        [
            {
                say("studio.column.name"): widgets.plain(name),
                say("studio.column.accuracy"): say(
                    "studio.history_accuracy",
                    accuracy=each.accuracy,
                    error=100 * trading.spread(each, design),
                ),
                say("studio.column.parameters"): f"{each.size.parameters:,}",
                say("studio.column.bytes"): f"{each.size.bytes:,}",
                say("studio.column.latency"): say(
                    "studio.speed_value", median=1e6 * times[each.plan].median
                )
                if each.plan in times
                else none,
            }
            for name, each in found.items()
        ],
        border="horizontal",
        alt=say("studio.history_alt"),
        hide_index=True,
    )


def _figures(found: Outcome, design: float) -> dict[str, float]:
    return {
        "accuracy": found.accuracy,
        "accuracy_error": trading.spread(found, design),
        "samples": found.samples,
        "parameters": found.size.parameters,
        "bytes": found.size.bytes,
        "macs": found.size.macs,
    }


def _keep(digest: str, mine: dict[str, PruningPlan]) -> None:
    st.session_state["history"] = {**st.session_state.get("history", {}), digest: mine}
