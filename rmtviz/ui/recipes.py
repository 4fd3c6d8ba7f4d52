"""The settings of the Train page: a recipe from its controls, which stand in the address."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from rmtviz import datasets, knobs
from rmtviz.datasets import Dataset
from rmtviz.errors import BadOption
from rmtviz.rules import RULES, BulkShare
from rmtviz.schedules import SCHEDULES, Every, Once
from rmtviz.ui import data, links, widgets
from rmtviz.words import say

if TYPE_CHECKING:
    from rmtviz.training import Training

SAMPLES: tuple[int, ...] = (500, 1_000, 2_000, 3_000, 6_000, 12_000, 30_000, 55_000)
"""How many training samples may be chosen."""

CLASSES = 10
"""The classes of each of the datasets that come with the app."""

EPOCHS = 60
NOISE = 60

NARROW = 200
"""The width of a list of choices that stands beside its options in the column of controls."""


@dataclass(frozen=True, slots=True)
class Never:
    """No cut during training."""


CUTS: Mapping[str, type] = {"never": Never, **SCHEDULES}
"""When layers are cut, by name."""

STAYS: Mapping[str, type] = {"bulk-share": BulkShare, **RULES}
"""What stays in a cut, by name; first the one that is a recipe's own."""

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


def presets() -> None:
    """Draw a button for each preset."""
    st.caption(say("train.presets"))
    with st.container(horizontal=True, gap="small"):
        for name, changes in PRESETS.items():
            st.button(
                say(f"train.preset.{name}"),
                help=say(f"train.preset.{name}_help"),
                on_click=_preset,
                args=(changes,),
                key=f"preset_{name}",
            )


@dataclass(frozen=True, slots=True)
class Start:
    """Where the controls of the data stand at first, and what their keys begin with."""

    key: str = ""
    images: int = 12_000
    noise: int = 0
    widths: str = "512, 256"
    epochs: int = 10
    learning_rate: float = 1e-3
    batch_size: int = 128
    rate: str = "cosine"


ALONE = Start()
"""Where they stand for a run."""

SIDE = Start("lab_", 2_000, 40, "256, 256", 15, 2e-3, 64, "constant")
"""Where they stand for runs side by side: small, so that all of them take a minute or two."""


def network(start: Start, own: Dataset | None) -> dict[str, Any]:
    """Draw what is trained on how many of the data: samples, noise, widths, epochs."""
    key = start.key
    samples = _samples(start, own)
    noise = _slider(
        f"{key}label_noise",
        *(start.noise, 0, NOISE),
        say("train.label_noise"),
        step=5,
        format="%d %%",
        help=say("train.label_noise_help"),
    )
    if noise:
        classes = CLASSES if own is None else len({*own.train_labels, *own.test_labels})
        share = noise / 100 * (1 - 1 / classes)
        st.caption(say("train.label_noise_wrong", share=share, classes=classes))
    widths = links.value(
        st.text_input,
        say("train.widths"),
        start.widths,
        f"{key}widths",
        help=say("train.widths_help"),
    )
    epochs = _slider(f"{key}epochs", start.epochs, 1, EPOCHS, say("train.epochs"))
    return {
        "train_samples": samples,
        "label_noise": noise / 100,
        "widths": widths,
        "epochs": epochs,
        "batch_size": start.batch_size,
        "rate": start.rate,
    }


def cuts() -> dict[str, Any]:
    """Draw when layers are cut and what stays; nothing more is asked where nothing is cut."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        schedule = widgets.strategy(CUTS, "cuts", NARROW)
    if isinstance(schedule, Never):
        return {}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        return {"schedule": schedule, "rule": widgets.strategy(STAYS, "stays", NARROW)}


def how(start: Start = ALONE) -> dict[str, Any]:
    """Draw how it is trained; of runs side by side what they all share, such as the optimiser."""
    from rmtviz.training import MOMENTS

    key = start.key
    with st.expander(say("train.more")):
        found: dict[str, Any] = {
            "optimiser": links.choice(
                st.selectbox,
                say("train.optimiser"),
                list(MOMENTS),
                f"{key}optimiser",
                format_func=lambda name: say(f"train.optimiser_{name}"),
            ),
            "learning_rate": _number(
                "learning_rate", start.learning_rate, 1e-5, 1.0, 1e-3, "%.5f", key
            ),
        }
        if start is ALONE:
            found |= {
                "weight_decay": _number("weight_decay", 0.0, 0.0, 0.1, 1e-4, "%.5f"),
                "dropout": _number("dropout", 0.0, 0.0, 0.9, 0.1, "%.2f"),
                "patience": _number("patience", 0, 0, EPOCHS, help=say("train.patience_help")),
                "seed": _number("seed", 0, 0, 2**31 - 1),
            }
    return found


def recipe(settings: Mapping[str, Any]) -> "Training | None":
    """Return the settings as a recipe, or None after saying what is wrong."""
    from rmtviz.training import Training
    from rmtviz.training import widths as read_widths

    try:
        return Training(**{**settings, "widths": read_widths(settings["widths"])})
    except BadOption as refusal:
        widgets.refusal(refusal)
        return None


def take(recipe: "Training", start: Start = ALONE) -> None:
    """Set the controls to a recipe; for a callback, before they are drawn."""
    state, key = st.session_state, start.key
    for name in ("dataset", "epochs", "optimiser", "learning_rate"):
        state[f"{key}{name}"] = getattr(recipe, name)
    state[f"{key}images"] = max(
        (each for each in SAMPLES if each <= recipe.train_samples), default=SAMPLES[0]
    )
    state[f"{key}label_noise"] = round(100 * recipe.label_noise)
    state[f"{key}widths"] = ", ".join(map(str, recipe.widths))
    if start is not ALONE:
        return
    for name in ("weight_decay", "dropout", "patience", "seed"):
        state[name] = getattr(recipe, name)
    for key, table, choice in (
        ("cuts", CUTS, recipe.schedule or Never()),
        ("stays", STAYS, recipe.rule),
    ):
        name = state[key] = knobs.label(table, choice)
        for field in dataclasses.fields(choice):
            state[f"knob_{name}_{field.name}"] = getattr(choice, field.name)


def branched(origin: "Training", settings: "Training") -> "Training":
    """Return the settings with what a branch keeps of its origin."""
    from rmtviz.training import FIXED

    return dataclasses.replace(settings, **{name: getattr(origin, name) for name in FIXED})


def title(recipe: "Training") -> str:
    """Return a recipe in a few words: data, widths, what is cut, and what holds it back."""
    parts = [
        data.title(recipe.dataset),
        " × ".join(map(str, recipe.widths)),
        say(f"choice.{knobs.label(CUTS, recipe.schedule or Never())}.title"),
    ]
    if recipe.label_noise:
        parts.append(say("train.title_noise", share=recipe.label_noise))
    return ", ".join(parts)


def _samples(start: Start, own: Dataset | None) -> int:
    """Draw how many training samples are used; of one's own, as many as there are at most."""
    key, default, options, most = f"{start.key}images", start.images, SAMPLES, SAMPLES[-1]
    if own is not None:
        key, default, (most, _, _) = f"{start.key}own_samples", SAMPLES[-1], datasets.sizes(own)
        options = (*(each for each in SAMPLES[:-1] if each < most), SAMPLES[-1])
    if len(options) == 1:
        return default
    if st.session_state.get(key, default) not in options:
        del st.session_state[key]
    titles = {each: f"{min(each, most):,}" for each in options}
    found: int = links.value(
        st.select_slider,
        say("train.samples"),
        default,
        key,
        options.__contains__,
        options=options,
        format_func=titles.__getitem__,
        help=say("train.samples_help"),
    )
    return found


def _preset(changes: Mapping[str, Any]) -> None:
    from rmtviz.training import Training

    take(Training(**changes))


def _slider(key: str, default: int, low: int, high: int, label: str, **more: Any) -> int:
    found: int = links.value(
        st.slider,
        label,
        default,
        key,
        lambda x: low <= x <= high,
        min_value=low,
        max_value=high,
        **more,
    )
    return found


def _number(
    name: str,
    default: float,
    low: float,
    high: float,
    step: float = 1,
    form: str = "%d",
    prefix: str = "",
    **more: Any,
) -> float:
    kind = type(default)
    found: float = links.value(
        st.number_input,
        say(f"train.{name}"),
        default,
        f"{prefix}{name}",
        lambda x: low <= x <= high,
        min_value=kind(low),
        max_value=kind(high),
        step=kind(step),
        format=form,
        **more,
    )
    return found
