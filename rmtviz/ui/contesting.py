"""Runs side by side: the contenders of the lab over several seeds, in one honest table."""

from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from rmtviz.datasets import Dataset
from rmtviz.ui import data, jobs, links, live, widgets
from rmtviz.ui.contests import Contest, Standing, work
from rmtviz.words import say

if TYPE_CHECKING:
    from rmtviz.lab import Line
    from rmtviz.training import Training

SEEDS = 2
MOST_SEEDS = 5

MINUTE = 90
"""From so many seconds on minutes are said."""


def seeds() -> int:
    """Draw over how many seeds is compared."""
    found: int = links.value(
        st.slider,
        say("train.seeds"),
        SEEDS,
        "lab_seeds",
        lambda x: 1 <= x <= MOST_SEEDS,
        min_value=1,
        max_value=MOST_SEEDS,
        help=say("train.seeds_help"),
    )
    return found


def start(recipe: "Training | None", count: int, own: Dataset | None) -> None:
    """Draw the button that starts a comparison."""
    contest = current()
    busy = contest is not None and not contest.snapshot.over
    pressed = st.button(
        say("train.compare_start"),
        icon=":material/play_arrow:",
        type="primary",
        width="stretch",
        disabled=recipe is None or busy,
    )
    if recipe is not None and not busy:
        pace = jobs.registry().pace
        st.caption(_long(pace, work(recipe, count, recipe.data(own)) if pace else 0))
    if pressed and recipe is not None:
        st.session_state["lab"] = jobs.registry().compare(recipe, count, own).token
        st.rerun()


def _long(pace: float | None, counted: int) -> str:
    """Say how long a comparison takes, by its counted work and a pace that was measured."""
    if pace is None:
        return say("train.long_unknown")
    seconds = pace * counted
    if seconds < MINUTE:
        return say("train.long_seconds", seconds=max(5, 5 * round(seconds / 5)))
    return say("train.long_minutes", minutes=seconds / 60)


def current() -> Contest | None:
    """Return the visitor's comparison, which stands in the address."""
    if links.fresh("lab") and "lab" in st.query_params:
        st.session_state["lab"] = st.query_params["lab"]
    contest = jobs.registry().contest(st.session_state.get("lab"))
    if contest is not None:
        links.put("lab", contest.token)
    elif st.session_state.pop("lab", None):
        st.warning(say("train.gone"), icon=":material/history:")
    return contest


def watch() -> None:
    """Draw the visitor's comparison: by itself while it is at work, once when it is over."""
    contest = current()
    if contest is None:
        st.info(say("train.compare_empty"), icon=":material/info:")
        _caveats(None)
        return
    if contest.snapshot.over:
        _draw(contest)
        return
    token = contest.token

    @st.fragment(run_every=live.REFRESH)
    def follow() -> None:
        now = jobs.registry().contest(token)
        if now is None or now.snapshot.over:
            st.rerun()
        _draw(now)

    follow()


def _draw(contest: Contest) -> None:
    from rmtviz import lab

    shot = contest.snapshot
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{live.ICONS[shot.state]} **{_state(contest, shot)}**")
        live.buttons(contest)
    st.progress(shot.share)
    if not shot.over:
        st.caption(_long(shot.pace, shot.work))
    live.problem(contest)
    lines = sorted(lab.table(shot.results), key=lambda line: -line.gain)
    st.subheader(_sentence(contest, shot, lines), anchor=False)
    if lines:
        _table(shot, lines)
    else:
        st.skeleton(height=300)
    st.caption(_sizes(contest, shot))
    _caveats({line.contender: line for line in lines})


def _state(contest: Contest, shot: Standing) -> str:
    if shot.state == "queued":
        ahead = jobs.registry().ahead(contest)
        return say("train.queued_one" if ahead == 1 else "train.queued", ahead=ahead)
    words = say("train.compare_state", done=len(shot.results), expected=shot.expected)
    if shot.contender and not shot.over:
        words += say(
            "train.compare_now",
            contender=say(f"train.contender.{shot.contender}"),
            epoch=shot.epoch,
            epochs=contest.recipe.epochs,
        )
    return f"{say(f'train.state.{contest.asked or shot.state}')}: {words}"


def _sentence(contest: Contest, shot: Standing, lines: list["Line"]) -> str:
    """Say who is ahead, and of how many seeds."""
    if not lines:
        return say("train.compare_none")
    first = lines[0]
    return say(
        "train.compare_ahead" if shot.state == "done" else "train.compare_so_far",
        contender=say(f"train.contender.{first.contender}"),
        accuracy=first.test_accuracy,
        samples=shot.results[0].test_samples,
        gain=100 * first.gain,
        seeds=say("train.seeds_one") if first.seeds == 1 else say("train.seeds_n", n=first.seeds),
    )


def _table(shot: Standing, lines: list["Line"]) -> None:
    """Draw the table, whoever wins on top."""
    chosen = {each.contender: each.chosen for each in shot.results}
    whole = max(line.parameters for line in lines)
    frame = pd.DataFrame(
        [
            {
                "contender": say(f"train.contender.{line.contender}"),
                "test": _spread(100 * line.test_accuracy, line.spread),
                "gain": _spread(100 * line.gain, line.gain_spread, sign="+"),
                "training": 100 * line.train_accuracy,
                "size": 100 * line.parameters / whole,
                "seeds": line.seeds,
                "chosen": chosen[line.contender],
            }
            for line in lines
        ]
    )
    percent = st.column_config.NumberColumn
    st.dataframe(
        frame,
        column_config={
            "contender": st.column_config.TextColumn(say("train.column_contender"), width=210),
            "test": st.column_config.TextColumn(say("train.column_clean"), width=104),
            "gain": st.column_config.TextColumn(
                say("train.column_gain"), help=say("train.column_gain_help"), width=104
            ),
            "training": percent(
                say("train.column_memorised"),
                help=say("train.column_memorised_help"),
                format="%.1f %%",
                width=84,
            ),
            "size": percent(say("train.column_size"), format="%.0f %%", width=64),
            "seeds": percent(say("train.column_seeds"), width=56),
            "chosen": st.column_config.TextColumn(
                say("train.column_chosen"), help=say("train.column_chosen_help")
            ),
        },
        hide_index=True,
        alt=say("train.compare_alt"),
    )


def _spread(mean: float, spread: float | None, sign: str = "") -> str:
    words = f"{mean:{sign}.1f}"
    return words if spread is None else f"{words} ± {100 * spread:.1f}"


def _sizes(contest: Contest, shot: Standing) -> str:
    recipe = contest.recipe
    return say(
        "train.compare_sizes",
        images=min(recipe.train_samples, shot.train_samples or recipe.train_samples),
        data=widgets.plain(data.title(recipe.dataset)),
        noise=recipe.label_noise,
        wrong=(1 - 1 / shot.classes) * recipe.label_noise,
        widths=" × ".join(map(str, recipe.widths)),
        epochs=recipe.epochs,
        selection=shot.selection_samples,
    )


def _caveats(lines: dict[str, "Line"] | None) -> None:
    """Say what is to be known about such tables, with this table's own figures if it has them."""
    with st.container(border=True):
        st.markdown(say("train.honest"))
        st.markdown(say("train.honest_measured"))
        needed = ("rmt-afterwards", "rmt-chosen", "early-stopping")
        if lines and all(name in lines for name in needed):
            edge, chosen, early = (100 * lines[name].gain for name in needed)
            st.markdown(say("train.honest_here", edge=edge, chosen=chosen, early=early))
