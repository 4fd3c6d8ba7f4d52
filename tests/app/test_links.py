"""The address leads when a session begins and when the browser changes it; else the session."""

import pytest

from rmtviz.ui import links


@pytest.fixture(autouse=True)
def no_lag(monkeypatch: pytest.MonkeyPatch) -> None:
    """A browser that tells each address at once."""
    monkeypatch.setattr(links, "LAG", -1.0)


def address(visitor) -> dict[str, str]:
    return {key: value for key, value in visitor.at.query_params.items() if value}


def turn(visitor, **query: str):
    """Go back or forward to an address of the same page, as the browser does it."""
    visitor.at.query_params.clear()
    visitor.at.query_params.update(query)
    return visitor.run()


def test_back_takes_back_one_choice_after_the_other(visit):
    visitor = visit()
    seen = []
    for key, value in (("layer", "2"), ("scale", "eigen"), ("model_choice", "noisy")):
        seen.append(address(visitor))
        visitor.choose(key, value)
    assert address(visitor)["model"] == "noisy"
    for before in reversed(seen):
        turn(visitor, **before)
        assert address(visitor) == before
        assert visitor.model == "clean"
        assert visitor.at.get_by_key("layer").value == before.get("layer", "0")
        assert visitor.at.get_by_key("scale").value == before.get("scale", "singular")


def test_back_leaves_the_choices_of_other_pages(visit):
    visitor = visit("prune").choose("rule", "energy").go("explore").choose("layer", "2")
    turn(visitor)
    assert visitor.at.get_by_key("layer").value == "0"
    assert visitor.go("prune").at.get_by_key("rule").value == "energy"


def test_back_takes_back_a_cut(visit):
    visitor = visit().let_go(40)
    assert address(visitor)["rank"] == "40"
    turn(visitor)
    assert "rank" not in address(visitor)
    assert visitor.spectrum["rank"] != 40
    turn(visitor, rank="40")
    assert visitor.spectrum["rank"] == 40


def test_a_moved_knob_of_a_lesson_is_taken_back(visit):
    visitor = visit("learn", step="noise", m="150")
    turn(visitor, step="noise")
    assert address(visitor) == {"step": "noise"}
    turn(visitor, step="noise", m="150")
    assert address(visitor) == {"step": "noise", "m": "150"}


def test_a_page_of_the_navigation_keeps_what_was_chosen(visit):
    visitor = visit().choose("layer", "2").go("prune")
    assert visitor.at.get_by_key("layer").value == "2"
