"""The visitor's runs: named, side by side in one chart, and to take home."""

import io
import json
from typing import Any

import pandas as pd
import streamlit as st

from rmtviz.ui import curves, jobs, links, recipes, session, widgets
from rmtviz.ui.runs import Run
from rmtviz.words import say

MOST = 8
"""So many runs of a visitor stand in the address, the latest ones."""

NAME = 60
"""The longest name of a run."""


def mine() -> list[Run]:
    """Return the visitor's runs that are still kept, oldest first; they stand in the address."""
    tokens: list[str] = st.session_state.setdefault("runs", [])
    if links.fresh("runs"):
        given = st.query_params.get("runs", "").split(".")[:MOST]
        tokens[:] = dict.fromkeys([*given, *tokens])
    found = [run for token in tokens if (run := jobs.registry().find(token))]
    tokens[:] = [run.token for run in found]
    links.put("runs", ".".join(tokens[-MOST:]) if len(tokens) > 1 else None)
    return found


def look_at(run: Run) -> None:
    """Make this the run that is looked at, and one of the visitor's."""
    st.session_state["run"] = run.token
    tokens: list[str] = st.session_state.setdefault("runs", [])
    if run.token not in tokens:
        tokens.append(run.token)


def name(run: Run) -> str:
    """Return the name that the visitor gave a run, or what it is in a few words."""
    about = run.about
    if given := about.get("name"):
        return str(given)
    words = recipes.title(run.recipe)
    return say("train.branched", title=words, epoch=about["epoch"]) if "origin" in about else words


def take(run: Run) -> None:
    """Draw the run's name, which may be changed, and its downloads."""
    key = f"name_{run.token}"
    st.session_state.setdefault(key, name(run))

    def named() -> None:
        run.note(name=st.session_state[key].strip()[:NAME])

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input(say("train.name"), key=key, max_chars=NAME, on_change=named, width=320)
        _downloads(run)


def _downloads(run: Run) -> None:
    st.download_button(
        say("train.csv"),
        lambda: table(run),
        f"{run.token}.csv",
        "text/csv",
        icon=":material/table:",
        on_click="ignore",
    )
    st.download_button(
        say("train.plan"),
        lambda: plan(run),
        f"{run.token}.json",
        "application/json",
        icon=":material/data_object:",
        on_click="ignore",
    )


def table(run: Run) -> str:
    """Return the run's epochs as CSV: a line an epoch, a column a figure, layers by name."""
    flat = []
    for row in run.snapshot.rows:
        line: dict[str, Any] = {}
        for key, value in row.items():
            if key == "cut":
                line["cut"] = bool(value)
            elif isinstance(value, dict):
                line |= {f"{key}.{layer}": each for layer, each in value.items()}
            else:
                line[key] = " ".join(map(str, value)) if isinstance(value, list) else value
        flat.append(line)
    held = io.StringIO()
    pd.DataFrame(flat).to_csv(held, index=False)
    return held.getvalue()


def plan(run: Run) -> str:
    """Return as JSON what it takes to train the run again, and what was cut when."""
    origin = {key: value for key, value in run.about.items() if key in ("origin", "epoch")}
    found = {
        "recipe": run.recipe.record(),
        "branched": origin or None,
        "cuts": [{"epoch": row["epoch"], **row["cut"]} for row in run.snapshot.rows if row["cut"]],
    }
    return json.dumps(found, indent=2)


def draw() -> None:
    """Draw the visitor's runs as a table, and those that are chosen in one chart."""
    runs = mine()
    if not runs:
        st.info(say("train.kept_empty"), icon=":material/info:")
        return
    st.caption(say("train.kept_about", most=jobs.KEPT))
    titles = _titles(runs)
    _table(runs, titles)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.multiselect(
            say("train.compare"),
            list(titles),
            default=list(titles)[-3:],
            format_func=lambda token: titles[token],
            key="compared",
            persist_state="session",
        )
        curve = links.choice(
            st.selectbox,
            say("train.curve"),
            list(_COMPARED),
            "curve",
            format_func=lambda key: say(f"train.{key}_chart"),
            width=widgets.LIST + 60,
        )
    _compare([run for run in runs if run.token in chosen], titles, curve)
    _open(runs, titles)


_COMPARED = {
    "selection_accuracy": ".1%",
    "train_accuracy": ".1%",
    "train_loss": ".2f",
    "parameters": curves.STORED,
}
"""The figures of a row that can be compared, and how they are written."""


def _titles(runs: list[Run]) -> dict[str, str]:
    """Return the runs' names by token; of equal names the later ones get a number."""
    titles: dict[str, str] = {}
    for run in runs:
        words = name(run)
        same = sum(each == words or each.startswith(f"{words} (") for each in titles.values())
        titles[run.token] = f"{words} ({same + 1})" if same else words
    return titles


def _table(runs: list[Run], titles: dict[str, str]) -> None:
    lines = []
    for run in runs:
        shot = run.snapshot
        row = shot.rows[-1] if shot.rows else {}
        lines.append(
            {
                "name": titles[run.token],
                "state": say(f"train.state.{shot.state}"),
                "epoch": f"{shot.epoch} / {shot.epochs}",
                "selection": 100 * row["selection_accuracy"] if row else None,
                "test": None if shot.test_accuracy is None else 100 * shot.test_accuracy,
                "parameters": row.get("parameters"),
            }
        )
    percent = "%.2f %%"
    config = {
        key: st.column_config.NumberColumn(say(f"train.column_{key}"), format=form)
        for key, form in (("selection", percent), ("test", percent), ("parameters", "localized"))
    }
    config |= {
        key: st.column_config.TextColumn(say(f"train.column_{key}"))
        for key in ("name", "state", "epoch")
    }
    st.dataframe(
        pd.DataFrame(lines),
        column_config=config,
        hide_index=True,
        placeholder=say("explore.none"),
        alt=say("train.kept_alt"),
    )


def _compare(runs: list[Run], titles: dict[str, str], figure: str) -> None:
    points = [
        (row["epoch"], titles[run.token], row[figure])
        for run in runs
        for row in run.snapshot.rows
        if row["epoch"]
    ]
    epochs = max((run.snapshot.epochs for run in runs), default=1)
    curves.draw(figure, points, _COMPARED[figure], epochs, session.mode(), height=320)


def _open(runs: list[Run], titles: dict[str, str]) -> None:
    """Draw the way back to one of the runs."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        token = st.selectbox(
            say("train.open_choice"),
            [run.token for run in reversed(runs)],
            format_func=lambda token: titles[token],
            width=320,
        )
        st.button(say("train.open"), icon=":material/visibility:", on_click=_opened, args=(token,))


def _opened(token: str) -> None:
    st.session_state["run"] = token
    st.session_state["show"] = "one"
