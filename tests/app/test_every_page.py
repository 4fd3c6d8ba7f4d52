"""Every page shows every shipped network in both themes, and nothing breaks."""

import pytest

from rmtviz.lessons import LESSONS
from rmtviz.tokens import MODES
from rmtviz.ui.library import SAMPLES
from rmtviz.ui.shell import PAGES
from rmtviz.words import catalogue, say


@pytest.mark.parametrize("theme", MODES)
@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_a_sample(visit, page: str, sample: str, theme: str):
    visitor = visit(page, theme, model=sample)
    assert [title.value for title in visitor.at.title] == [say(f"{page}.title")]
    assert visitor.errors == []
    assert not visitor.at.warning
    assert visitor.model == sample


@pytest.mark.parametrize("theme", MODES)
def test_the_chart_has_the_colours_of_the_theme(visit, theme: str):
    colours = visit(theme=theme).spectrum["colours"]
    assert colours == {name: getattr(MODES[theme], name) for name in colours}
    assert {"learnt", "noise", "theory"} <= set(colours)


def test_an_unknown_model_is_said_and_a_sample_shown(visit):
    visitor = visit(model="nobody-knows-this-one")
    assert [warning.value for warning in visitor.at.warning] == [say("app.model_gone")]
    assert visitor.model == SAMPLES[0]
    assert not visitor.run().at.warning


@pytest.mark.parametrize(
    "token", ["run-../../etc", "run-" + "a" * 300, "run-\0", "run-", "noisy.initial", "../clean"]
)
def test_a_made_up_token_is_no_incident(visit, token: str):
    visitor = visit("train", model=token, run=token)
    assert visitor.model == SAMPLES[0]
    assert say("train.gone") in [warning.value for warning in visitor.at.warning]


def test_the_model_stays_from_page_to_page(visit):
    visitor = visit().choose("model_choice", "noisy")
    for page in ("prune", "train", "learn", "explore"):
        visitor.go(page)
        assert visitor.model == "noisy"
        assert visitor.at.query_params["model"] == "noisy"


@pytest.mark.parametrize("page", PAGES)
def test_a_link_speaks_its_language_on_every_page(visit, page: str):
    visitor = visit(page, lang="ja")
    assert [title.value for title in visitor.at.title] == [catalogue("ja")[f"{page}.title"]]
    assert visitor.errors == []


@pytest.mark.parametrize("step", LESSONS)
def test_every_lesson_speaks_japanese(visit, step: str):
    visitor = visit("learn", lang="ja", step=step)
    (sentence,) = [each.value for each in visitor.at.subheader]
    assert sentence == catalogue("ja")[f"learn.{step}.sentence"]
    visitor.choose(f"guess_{step}", visitor.at.get_by_key(f"guess_{step}").options[0])


@pytest.mark.parametrize(
    ("locale", "lang", "spoken"),
    [
        ("ja-JP", None, "ja"),
        ("ja", None, "ja"),
        ("ja-JP", "en", "en"),
        ("en-US", None, "en"),
        ("fr-FR", None, "en"),
        ("ja-JP", "fr", "ja"),
    ],
)
def test_the_browsers_language_is_the_default(visit, locale: str, lang: str | None, spoken: str):
    visitor = visit(locale=locale, **({"lang": lang} if lang else {}))
    assert visitor.at.title[0].value == catalogue(spoken)["explore.title"]
    visitor.go("prune")
    assert visitor.at.title[0].value == catalogue(spoken)["prune.title"]


@pytest.mark.parametrize("page", PAGES)
def test_choices_outlive_a_change_of_language(visit, page: str):
    """A browser sends the label of the old language; it must not be taken for the value."""
    visitor = visit(page, rule="shrinkage", method="iterated")
    chosen = {each.key: each.value for each in visitor.at.selectbox if each.key}
    for code in ("ja", "en", "ja"):
        visitor.choose("lang", code)
        assert visitor.errors == []
        assert {each.key: each.value for each in visitor.at.selectbox if each.key} == chosen
