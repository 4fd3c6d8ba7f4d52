"""Choices made from words: what `knobs.make` takes and refuses, for any table."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmtviz import knobs
from rmtviz.errors import BadOption
from rmtviz.fits import METHODS


@dataclass(frozen=True)
class Toy:
    share: float = knobs.knob(0.5, low=0.0, high=1.0)
    rank: int = knobs.knob(3, low=1)
    depth: int = knobs.knob(0, high=9)
    word: str = "free"

    def __post_init__(self) -> None:
        knobs.check(self)


@dataclass(frozen=True)
class Bare:
    pass


TABLE = {"toy": Toy, "bare": Bare}


@given(st.floats(0, 1), st.integers(1), st.integers(max_value=9))
def test_words_become_the_values_that_they_spell(share: float, rank: int, depth: int) -> None:
    words = {"share": repr(share), "rank": str(rank), "depth": str(depth), "word": "x"}
    assert knobs.make(TABLE, "toy", words) == Toy(share, rank, depth, "x")


@given(st.floats().filter(lambda x: not 0 <= x <= 1))
def test_a_number_out_of_range_is_refused_by_name(share: float) -> None:
    with pytest.raises(BadOption) as refusal:
        knobs.make(TABLE, "toy", {"share": repr(share)})
    assert refusal.value.key == "knob_range"
    assert "share" in refusal.value.what
    assert "0.0" in refusal.value.do
    assert "1.0" in refusal.value.do


@pytest.mark.parametrize("value", [True, False, None, "0.5", 1j])
def test_what_is_no_number_is_out_of_range(value: object) -> None:
    with pytest.raises(BadOption) as refusal:
        Toy(share=value)
    assert refusal.value.key == "knob_range"


@pytest.mark.parametrize(("knob", "value"), [("rank", "0"), ("depth", "10")])
def test_half_open_ranges_hold_on_their_side(knob: str, value: str) -> None:
    with pytest.raises(BadOption, match=knob) as refusal:
        knobs.make(TABLE, "toy", {knob: value})
    assert "∞" in refusal.value.do


@pytest.mark.parametrize(
    ("name", "options", "key"),
    [
        ("tiy", {}, "unknown_name"),
        ("", {}, "unknown_name"),
        ("toy", {"shere": "0.5"}, "unknown_knob"),
        ("bare", {"share": "0.5"}, "unknown_knob"),
        ("toy", {"share": "half"}, "knob_word"),
        ("toy", {"share": ""}, "knob_word"),
        ("toy", {"rank": "2.5"}, "knob_word"),
    ],
)
def test_wrong_words_are_refused(name: str, options: dict[str, str], key: str) -> None:
    with pytest.raises(BadOption) as refusal:
        knobs.make(TABLE, name, options)
    assert refusal.value.key == key
    assert len(str(refusal.value).splitlines()) == 2


@pytest.mark.parametrize("name", METHODS)
def test_defaults_survive_the_way_through_words(name: str) -> None:
    words = {knob: str(value) for knob, value in knobs.values(METHODS[name]()).items()}
    assert knobs.make(METHODS, name, words) == knobs.make(METHODS, name) == METHODS[name]()


def test_label_is_the_name_in_the_table() -> None:
    assert [knobs.label(TABLE, kind()) for kind in TABLE.values()] == list(TABLE)
