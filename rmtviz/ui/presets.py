"""Settings worth a look: for a run on the Train page, a button each."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from rmtviz.rules import BulkShare
from rmtviz.schedules import Every, Once
from rmtviz.ui import recipes
from rmtviz.words import say

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "once": {
        "widths": (1000, 500),
        "epochs": 8,
        "train_samples": 30_000,
        "optimiser": "sgd",
        "learning_rate": 0.05,
        "schedule": Once(epoch=3),
    },
    "paper": {
        "widths": (1000, 500),
        "epochs": 12,
        "train_samples": 30_000,
        "optimiser": "sgd",
        "learning_rate": 0.05,
        "schedule": Every(gate="distance", moments="restart"),
        "rule": BulkShare(share=0.45),
    },
    "wrong": {
        "widths": (256, 256),
        "epochs": 20,
        "train_samples": 3_000,
        "label_noise": 0.4,
        "schedule": Once(epoch=15),
        "rule": BulkShare(times=4.0),
    },
}
"""Settings worth a look, as they differ from the default: by name, its words at `train.preset`."""


def draw() -> None:
    """Draw a button for each preset."""
    st.caption(say("train.presets"))
    with st.container(horizontal=True, gap="small"):
        for name, changes in PRESETS.items():
            st.button(
                say(f"train.preset.{name}"),
                help=say(f"train.preset.{name}_help"),
                on_click=_take,
                args=(changes,),
                key=f"preset_{name}",
            )


def _take(changes: Mapping[str, Any]) -> None:
    from rmtviz.training import Training

    recipes.take(Training(**changes))
