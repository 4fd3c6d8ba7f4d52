"""The colours and the font, in one place, for every page, figure and report.

Each colour has one meaning: blue is what a layer has learnt, grey is noise, orange is what
theory predicts. Controls have a colour of no meaning, so that a coloured thing always says
something. No meaning rests on colour alone: lines differ in style, statuses carry a word.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Palette:
    """The colours of one mode, as #rrggbb."""

    learnt: str
    """Above the edge: what can be told from random; kept."""
    noise: str
    """Inside the bulk: what can't be told from random. For shapes; in text, use `muted`."""
    theory: str
    """What the law predicts: curve, edges, cut."""
    good: str
    warn: str
    bad: str
    ink: str
    """Text."""
    muted: str
    """Text of second rank: labels, captions, ticks."""
    accent: str
    """Controls: a selected label's text, and the ground of a button's text, `on_accent`."""
    on_accent: str
    grid: str
    """Grid lines and borders."""
    paper: str
    """The page, and behind a figure."""
    card: str
    """A raised or filled surface on the page."""


LIGHT = Palette(
    learnt="#1c69ad",
    noise="#838a95",
    theory="#b35208",
    good="#097264",
    warn="#806a00",
    bad="#b5224a",
    ink="#141a21",
    muted="#5a6472",
    accent="#4a3f66",
    on_accent="#ffffff",
    grid="#e3e3e0",
    paper="#fcfcfb",
    card="#f4f4f2",
)

DARK = Palette(
    learnt="#6cb2f5",
    noise="#7b8491",
    theory="#f2994a",
    good="#5bd1b9",
    warn="#dcc04e",
    bad="#f4687e",
    ink="#e9e7e2",
    muted="#a3abb7",
    accent="#a294c4",
    on_accent="#16131f",
    grid="#2c323b",
    paper="#14181d",
    card="#1d2229",
)

FONT = (
    'Inter, system-ui, "Hiragino Sans", "Yu Gothic UI", "Noto Sans JP", "Noto Sans CJK JP", '
    "sans-serif"
)
"""The font families: Inter is shipped; Japanese takes that of macOS, Windows or Linux."""

MODES: Mapping[str, Palette] = MappingProxyType({"light": LIGHT, "dark": DARK})


def fade(colour: str, opacity: float) -> str:
    """Return a colour (#rrggbb) at an opacity from 0 to 1, in the notation of CSS."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"
