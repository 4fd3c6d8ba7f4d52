"""The parts of the Learn page: what a lesson is computed from, its picture, its question."""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

import streamlit as st

from rmtviz.analysis import LayerAnalysis
from rmtviz.fits import BEMA, METHODS
from rmtviz.lessons import LESSONS, Cuts, Growth, Lesson
from rmtviz.lessons.base import step
from rmtviz.site import home
from rmtviz.ui import links, models, session, stage, widgets
from rmtviz.ui.library import sample
from rmtviz.words import catalogue, say

LAYER = "2"
"""The layer of the demo networks that the lessons look at, 256 × 512."""

PLAYED = ("draws", "t", "cut")
"""The knobs that a button can run up to their end."""


def choose() -> str:
    """Draw the choice of a step, with the way back and on; return its name."""
    names = list(LESSONS)

    def turn(by: int) -> None:
        st.session_state["step"] = names[names.index(st.session_state["step"]) + by]

    with st.container(horizontal=True, vertical_alignment="bottom", key="steps"):
        name = links.choice(
            st.selectbox, say("learn.step"), names, "step", format_func=_title, width=320
        )
        place = names.index(name)
        st.button(
            say("learn.back"),
            icon=":material/arrow_back:",
            on_click=turn,
            args=(-1,),
            disabled=place == 0,
        )
        st.button(
            say("learn.next"),
            icon=":material/arrow_forward:",
            type="primary",
            on_click=turn,
            args=(1,),
            disabled=place == len(names) - 1,
        )
    return name


def linked() -> str:
    """Return the step of the link, for a page without controls."""
    name = st.query_params.get("step")
    return name if name in LESSONS else next(iter(LESSONS))


def material(lesson: Lesson) -> Any:
    """Return what a lesson is computed from; None where it needs nothing, or has nothing."""
    match lesson.needs:
        case "spectra":
            networks = ("clean", "untrained")
            return {name: sample(name).analysed(BEMA())[LAYER].spectrum for name in networks}
        case "cuts":
            return cuts()
        case "growth":
            return growth() if getattr(lesson, "matrix", None) == "network" else None
        case "layer":
            return _layer()
    return None


@st.cache_resource(show_spinner=False)
def cuts() -> Cuts:
    """Return the table of what cuts do to the network with wrong labels."""
    file = home() / "assets" / "models" / "noisy.cuts.json"
    return Cuts.from_dict(json.loads(file.read_text("utf-8")))


def growth() -> Growth:
    """Return how the demo's layer grew out of its random beginning."""
    model = sample("clean")
    start = model.initial
    if start is None:
        raise ValueError("the demo has no beginning")
    weight = f"{LAYER}.weight"
    return model.memo("growth", lambda: Growth.of(start[weight], model.checkpoint[weight]))


def _layer() -> LayerAnalysis | None:
    """Return the visitor's layer; the choice of it is drawn where there is more than one."""
    analysis = session.current().analysed(next(iter(METHODS.values()))())
    fitted = [layer for layer in analysis if layer.bulk]
    if not fitted:
        return None
    if links.bare():
        asked = st.query_params.get("layer")
        return next((layer for layer in fitted if layer.name == asked), fitted[0])
    with st.container(width=420):
        found = widgets.layer(analysis)
    return found if found.bulk else None


def picture(name: str, lesson: Lesson, given: Any) -> None:
    """Draw a lesson's picture with its knobs."""
    prefix = f"learn.{name}.picture."
    parts = [key.removeprefix(prefix) for key in catalogue() if key.startswith(prefix)]
    found = numbers(lesson, given)
    words = {part: say(f"learn.{name}.picture.{part}", **found) for part in parts}
    shown = dict(lesson.picture(given))
    if name == "own":
        shown["revealed"] = guessed(name) is not None
    fields = {field.name: field for field in dataclasses.fields(lesson)}
    knobs = [] if links.bare() else [_knob(name, fields[each]) for each in lesson.shown()]
    values = dataclasses.asdict(lesson)
    alt, title = say(f"learn.{name}.alt", **found), say(f"learn.{name}.sentence")
    stage.stage(name, knobs, values, shown, words, alt, title, code(name, lesson))


def code(name: str, lesson: Lesson) -> str:
    """Return the lines of Python that make a lesson's numbers."""
    knobs = ", ".join(f"{knob}={value!r}" for knob, value in dataclasses.asdict(lesson).items())
    needs = lesson.needs or "nothing"
    if needs == "growth" and getattr(lesson, "matrix", None) != "network":
        needs = "nothing"
    source = models.source(session.current())
    layer = st.session_state.get("layer") or LAYER
    given = say(f"learn.code_{needs}", source=repr(source), layer=repr(layer))
    return say("learn.code", given=given, name=repr(name), knobs=knobs).strip() + "\n"


def guessed(name: str) -> str | None:
    """Return what the visitor guessed in this lesson, or None."""
    answer = st.session_state.get("guesses", {}).get(name)
    return str(answer) if answer else None


def question(name: str, lesson: Lesson, given: Any) -> None:
    """Ask a lesson's question; once it is answered, give the answer and why it is so."""
    guesses = st.session_state.setdefault("guesses", {})
    st.session_state[f"guess_{name}"] = guesses.get(name)

    def answered() -> None:
        guesses[name] = st.session_state[f"guess_{name}"]

    st.markdown(f"**{say(f'learn.{name}.question')}**")
    st.radio(
        say(f"learn.{name}.question"),
        lesson.answers,
        key=f"guess_{name}",
        index=None,
        format_func=lambda answer: say(f"learn.{name}.answer.{answer}"),
        on_change=answered,
        label_visibility="collapsed",
    )
    guess = guesses.get(name)
    if guess is None:
        st.caption(say("learn.guess"))
        return
    right = lesson.answer(given)
    words = say(f"learn.{name}.answer.{right}")
    if guess == right:
        st.markdown(say("learn.right"))
    else:
        st.markdown(say("learn.wrong", answer=words))
    st.markdown(say(f"learn.{name}.why", **numbers(lesson, given)))


def formula(name: str, lesson: Lesson, given: Any) -> None:
    """Write a lesson's formula with its numbers; its parts wrap where the page is narrow."""
    written = say(f"learn.{name}.formula", **numbers(lesson, given)).replace("%", r"\%")
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        for part in written.split(r"\qquad"):
            st.latex(part, width="content")


def numbers(lesson: Lesson, given: Any) -> Mapping[str, Any]:
    """Return a lesson's numbers as sentences and formulas take them: ∞ as its sign in TeX."""
    found = lesson.numbers(given)
    if found.get("fourth") == math.inf:
        return {**found, "fourth": r"\infty"}
    if "fourth" in found:
        return {**found, "fourth": f"{found['fourth']:.3g}"}
    return found


def _title(name: str) -> str:
    """Return a step's place and title."""
    return say(
        "learn.title_of", place=list(LESSONS).index(name) + 1, title=say(f"learn.{name}.title")
    )


def _knob(name: str, field: dataclasses.Field[Any]) -> dict[str, Any]:
    """Return a knob as the stage takes it."""
    knob = field.name
    if knob == "seed":
        high = field.metadata["high"]
        return {"name": knob, "kind": "seed", "label": say("learn.again"), "high": high}
    label = say(f"learn.{name}.knob.{knob}")
    if words := field.metadata["among"]:
        options = [(word, say(f"learn.{name}.knob.{knob}_{word}")) for word in words]
        return {"name": knob, "kind": "choice", "label": label, "options": options}
    made = {"name": knob, "kind": "number", "label": label, "step": step(field)}
    made |= {side: field.metadata[side] for side in ("low", "high")}
    if knob in PLAYED:
        made |= {"play": say("learn.play"), "stop": say("learn.stop")}
    return made
