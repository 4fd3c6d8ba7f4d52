"""Learn: every step is whole, asks before it answers, and is a link with its settings."""

import dataclasses

import pytest

from rmtviz.lessons import LESSONS
from rmtviz.tokens import MODES
from rmtviz.ui.library import SAMPLES
from rmtviz.words import say

CHOICES = [
    (name, field.name, word)
    for name, lesson in LESSONS.items()
    for field in dataclasses.fields(lesson)
    for word in field.metadata.get("among") or ()
]


def learn(visit, step: str, **query: str):
    return visit("learn", step=step, **query)


@pytest.mark.parametrize("theme", MODES)
@pytest.mark.parametrize("step", LESSONS)
def test_a_step_asks_and_then_answers(visit, sentence, step: str, theme: str):
    visitor = visit("learn", theme, step=step)
    assert [heading.value for heading in visitor.at.subheader] == [say(f"learn.{step}.sentence")]
    (question,) = visitor.at.radio
    assert question.label == say(f"learn.{step}.question")
    assert question.value is None
    why = sentence(f"learn.{step}.why")
    assert say("learn.guess") in visitor.words
    assert not why.search(visitor.words)
    assert say(f"learn.{step}.source") in [caption.value for caption in visitor.at.caption]
    verdicts = []
    for answer in LESSONS[step].answers:
        visitor.choose(f"guess_{step}", answer)
        verdicts.append(say("learn.right") in [each.value for each in visitor.at.markdown])
        assert any(why.fullmatch(each.value) for each in visitor.at.markdown)
        assert len(visitor.at.latex) >= 2
    assert verdicts.count(True) == 1


@pytest.mark.parametrize(("step", "knob", "word"), CHOICES)
def test_a_choice_of_a_step_is_shown_from_a_link(visit, step: str, knob: str, word: str):
    visitor = learn(visit, step, **{knob: word})
    assert not visitor.errors
    assert getattr(LESSONS[step](**{knob: word}), knob) == word
    default = getattr(LESSONS[step](), knob)
    assert visitor.at.query_params.get(knob) in (([word], word) if word != default else (None, []))


def test_the_settings_of_a_link_are_in_the_formula(visit):
    visitor = learn(visit, "noise", m="150", n="nonsense", sigma="1.5")
    assert any("1.50" in part.value and "150" in part.value for part in visitor.at.latex)
    assert any(r"\sqrt{180}" in part.value for part in visitor.at.latex)
    assert visitor.at.query_params["m"] in ("150", ["150"])
    assert "n" not in visitor.at.query_params


def test_a_setting_out_of_range_is_passed_over(visit):
    visitor = learn(visit, "noise", m="100000")
    assert not visitor.errors
    assert "m" not in visitor.at.query_params


def test_next_and_back_walk_through_the_steps(visit):
    visitor = learn(visit, "noise", m="150").press("learn.next")
    assert visitor.at.session_state["step"] == "universality"
    assert "m" not in visitor.at.query_params
    visitor.press("learn.back")
    assert visitor.at.session_state["step"] == "noise"
    assert any("150" in part.value for part in visitor.at.latex)
    visitor.press("learn.back")
    assert visitor.button("learn.back").disabled


def test_a_guess_stays_when_one_comes_back(visit):
    visitor = learn(visit, "noise").choose("guess_noise", "root")
    visitor.press("learn.next").press("learn.back")
    assert visitor.at.radio[0].value == "root"


@pytest.mark.parametrize("step", LESSONS)
def test_without_controls_only_the_step_is_left(visit, step: str):
    visitor = learn(visit, step, controls="none")
    at = visitor.at
    assert [title.value for title in at.title] == [say(f"learn.{step}.title")]
    assert not at.button
    assert not at.selectbox
    assert len(at.radio) == 1


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_last_step_is_about_the_network_that_is_looked_at(visit, sample: str):
    visitor = learn(visit, "own", model=sample).choose("guess_own", "nearly")
    known = say(f"app.sample.{sample}")
    assert any(known in caption.value for caption in visitor.at.caption)


def test_a_layer_without_a_bulk_has_no_question(visit):
    visitor = learn(visit, "own").choose("layer", "4")
    assert say("learn.own.none") in visitor.words
    assert not visitor.at.radio
    visitor.choose("layer", "2")
    assert len(visitor.at.radio) == 1


def test_a_tiny_network_is_told_that_nothing_can_be_guessed(visit, network, packed):
    visitor = learn(visit, "own").upload("tiny.safetensors", packed(network(12, 8)))
    assert say("learn.own.none") in visitor.words
