"""Back to an epoch of a run that is over, and on from there with other settings."""

from typing import TYPE_CHECKING

import streamlit as st

from rmtviz import formats
from rmtviz.errors import RmtvizError
from rmtviz.ui import film, jobs, kept, recipes, widgets
from rmtviz.ui.runs import Run
from rmtviz.words import say

if TYPE_CHECKING:
    from rmtviz.training import Training


def draw(run: Run, settings: "Training | None") -> None:
    """Draw what can be done with an epoch, at first the film's: take it home, branch."""
    st.caption(say("train.branch_about"))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown = film.epoch(run)
        epoch = st.number_input(
            say("train.branch_epoch"),
            min_value=0,
            max_value=run.snapshot.rows[-1]["epoch"],
            value=shown,
            key=f"branch_{run.token}_{shown}",
            width=140,
        )
        recipe = recipes.branched(run.recipe, settings) if settings else None
        pressed = st.button(
            say("train.branch", epoch=epoch),
            icon=":material/fork_right:",
            disabled=recipe is None or epoch >= recipe.epochs,
            help=say("train.branch_help", epoch=epoch),
        )
        st.download_button(
            say("train.download", epoch=epoch),
            run.weights(epoch).read_bytes,
            f"{run.token}-epoch-{epoch:03}{formats.FORMATS['safetensors'].suffix}",
            icon=":material/download:",
            on_click="ignore",
        )
    if not pressed or recipe is None:
        return
    try:
        branch = jobs.registry().branch(run, epoch, recipe)
    except RmtvizError as problem:
        widgets.refusal(problem)
    else:
        kept.look_at(branch)
        st.rerun()
