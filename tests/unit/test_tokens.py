"""The colours can be read and told apart, and Streamlit's theme has the same ones."""

import itertools
import tomllib
from dataclasses import astuple, fields

import numpy as np
import pytest

from rmtviz.site import home
from rmtviz.tokens import FONT, MODES, Palette, fade

TEXT = ("ink", "muted", "learnt", "theory", "good", "warn", "bad")
GRAPHIC = ("noise", "accent")
TOLD_APART = (("learnt", "noise", "theory"), ("good", "warn", "bad"))

MACHADO = {
    "all cones": np.eye(3),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}
"""How linear RGB is seen. Source: Machado, Oliveira and Fernandes, IEEE TVCG 15 (2009) 1291."""


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2.2."""
    luminances = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] for colour in (one, other))
    return (luminances[1] + 0.05) / (luminances[0] + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear RGB."""
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    x, y, z = np.cbrt(to_xyz @ np.clip(rgb, 1e-3, 1) / [0.95047, 1, 1.08883])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def palette(mode: str) -> Palette:
    return MODES[mode]


def test_contrast_of_black_on_white_is_21():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("surface", ["paper", "card"])
def test_words_and_shapes_stand_out(palette: Palette, surface: str):
    behind = getattr(palette, surface)
    ratios = {role: contrast(getattr(palette, role), behind) for role in TEXT + GRAPHIC}
    assert {role: r for role, r in ratios.items() if r < (4.5 if role in TEXT else 3)} == {}


def test_controls_stand_out(palette: Palette):
    assert contrast(palette.accent, palette.paper) >= 4.5
    assert contrast(palette.accent, palette.on_accent) >= 4.5


@pytest.mark.parametrize("eye", MACHADO)
@pytest.mark.parametrize("group", TOLD_APART)
def test_meanings_are_told_apart(palette: Palette, eye: str, group: tuple[str, ...]):
    seen = {role: lab(MACHADO[eye] @ linear(getattr(palette, role))) for role in group}
    close = {
        pair: float(np.linalg.norm(seen[pair[0]] - seen[pair[1]]))
        for pair in itertools.combinations(group, 2)
    }
    assert {pair: d for pair, d in close.items() if d < 20} == {}


def test_every_colour_is_one_of_its_own(palette: Palette):
    assert len(set(astuple(palette))) == len(fields(palette))


def test_fade():
    assert fade("#ff8000", 0.25) == "rgba(255, 128, 0, 0.25)"


def test_streamlit_has_the_same_colours(mode: str, palette: Palette):
    config = tomllib.loads((home() / ".streamlit" / "config.toml").read_text("utf-8"))
    assert config["theme"][mode] == {
        "primaryColor": palette.accent,
        "backgroundColor": palette.paper,
        "secondaryBackgroundColor": palette.card,
        "textColor": palette.ink,
        "linkColor": palette.ink,
        "borderColor": palette.grid,
        "codeBackgroundColor": palette.card,
        "codeTextColor": palette.ink,
        "dataframeBorderColor": palette.grid,
        "dataframeHeaderBackgroundColor": palette.card,
        "dataframeHeaderTextColor": palette.muted,
        "blueColor": palette.learnt,
        "blueTextColor": palette.learnt,
        "grayColor": palette.noise,
        "grayTextColor": palette.muted,
        "orangeColor": palette.theory,
        "orangeTextColor": palette.theory,
        "greenColor": palette.good,
        "greenTextColor": palette.good,
        "yellowColor": palette.warn,
        "yellowTextColor": palette.warn,
        "redColor": palette.bad,
        "redTextColor": palette.bad,
        "chartCategoricalColors": [palette.learnt, palette.noise, palette.theory],
    }


def test_the_fonts_of_the_theme_are_there():
    config = tomllib.loads((home() / ".streamlit" / "config.toml").read_text("utf-8"))
    assert config["theme"]["font"] == FONT
    urls = [face["url"] for face in config["theme"]["fontFaces"]]
    assert urls
    assert [url for url in urls if not (home() / url.removeprefix("app/")).is_file()] == []
