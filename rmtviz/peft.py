"""PEFT's settings of low-rank updates (`adapter_config.json`): their scale, kept through a cut.

An update W + s B A has s = α/r, or α/√r (rank-stabilised: Kalajdzievski, arXiv 2312.03732). One α
and one r are for all layers, but for those that `alpha_pattern` and `rank_pattern` name by the end
of their names, or by an expression: of these only simple ones are followed, for a file that
somebody made must not keep the machine busy. `fan_in_fan_out` says how the weights beneath are
stored; an update has the same B A in both ways.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rmtviz.checkpoint import Checkpoint
from rmtviz.errors import FileRefused
from rmtviz.pairs import ADAPTER, adapters, scale

SETTINGS = "adapter_config.json"
"""The file of the settings beside an adapter's weights."""

WEIGHTS = "adapter_model.safetensors"
"""The file of the weights, as PEFT looks for it."""

USUAL = 8
"""PEFT's α and r where its settings name none."""

FORM = re.compile(
    r"\^?([\w/-]|\\?\.|\.[*+]|\\d\+?|\((\?:)?[\w.|]+\)|\[\w(-\w)?\]\+?)*\$?", re.ASCII
)
"""Expressions that are followed: names, `.*`, numbers, a choice of words."""

LITERAL = re.compile(r"[\w./-]+", re.ASCII)
"""A name, or the end of one; its points are taken as points."""

OPEN = re.compile(r"\.[*+]")
"""A part of an expression that stands for any letters; two of them at most, for time's sake."""

MOST, LONGEST = 20, 200
"""So many expressions there may be, and names may be so long that they are asked about."""


@dataclass(frozen=True, slots=True)
class Patterns:
    """Values for layers by patterns, of which the first that matches counts.

    `literals` are names and ends of names, `expressions` the others; each with its place.
    """

    literals: Mapping[str, tuple[int, float]]
    expressions: tuple[tuple[int, re.Pattern[str], float], ...]

    @classmethod
    def of(cls, values: Mapping[str, float]) -> "Patterns":
        """Return the patterns of a table.

        Raises:
            FileRefused: a pattern is not followed, or there are very many.
        """
        literals: dict[str, tuple[int, float]] = {}
        expressions: list[tuple[int, re.Pattern[str], float]] = []
        for place, (pattern, value) in enumerate(values.items()):
            if LITERAL.fullmatch(pattern):
                literals[pattern] = place, value
            elif _followed(pattern) and len(expressions) < MOST:
                expressions.append((place, re.compile(_prefixed(pattern)), value))
            else:
                raise FileRefused("adapter_pattern", source=SETTINGS, pattern=pattern[:60])
        return cls(literals, tuple(expressions))

    def __call__(self, module: str, usual: float) -> float:
        """Return the value of the layer of this name; the usual one where no pattern matches."""
        parts = module.split(".")
        ends = (".".join(parts[start:]) for start in range(len(parts)))
        found = [self.literals[end] for end in ends if end in self.literals]
        if len(module) <= LONGEST:
            each = self.expressions
            found += [(place, value) for place, made, value in each if made.fullmatch(module)]
        return min(found)[1] if found else usual


@dataclass(frozen=True, slots=True)
class Updates:
    """How updates are scaled: α and r of all, those of layers by a pattern, and α/√r for α/r."""

    alpha: float
    rank: int
    alphas: Patterns
    ranks: Patterns
    root: bool

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Updates | None":
        """Return what PEFT's settings say; None where they are those of another method.

        Raises:
            FileRefused: an α or a rank is no number above zero, or a pattern is not followed.
        """
        if str(settings.get("peft_type", "LORA")).upper() != "LORA":
            return None
        alphas, ranks = (settings.get(f"{key}_pattern") or {} for key in ("alpha", "rank"))
        alpha, rank = settings.get("lora_alpha", USUAL), settings.get("r", USUAL)
        tables = isinstance(alphas, dict) and isinstance(ranks, dict)
        if not tables or not all(map(_number, (alpha, rank, *alphas.values(), *ranks.values()))):
            raise FileRefused("adapter_numbers", source=SETTINGS)
        root = settings.get("use_rslora") is True
        return cls(alpha, rank, Patterns.of(alphas), Patterns.of(ranks), root)

    def told(self, module: str) -> tuple[float, float]:
        """Return α and r of the layer of this name."""
        return self.alphas(module, self.alpha), self.ranks(module, self.rank)

    def divisor(self, rank: float) -> float:
        """Return what α is divided by at a rank."""
        return math.sqrt(rank) if self.root else rank


def scaled(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> Checkpoint:
    """Return the checkpoint with the scales of its updates on record, and the settings.

    The scales stand by the updates' first tensors. Where a rank is not the one that the settings
    say, as after a cut whose settings were left behind, the scale on record counts.

    Raises:
        FileRefused: as `Updates.of`.
    """
    updates = Updates.of(settings)
    if updates is None:
        return checkpoint
    scales: dict[str, float] = {}
    known = checkpoint.about.get("scales")
    for first, _ in adapters(checkpoint).values():
        alpha, told = updates.told(module(first))
        rank = checkpoint.tensors[first].shape[0]
        if rank == told or not isinstance(known, dict) or first not in known:
            scales[first] = alpha / updates.divisor(rank)
    old = known if isinstance(known, dict) else {}
    return checkpoint.with_about(scales={**old, **scales}, adapter=dict(settings))


def kept(checkpoint: Checkpoint) -> Mapping[str, Any] | None:
    """Return the settings on record; None where there are none, or none that can be followed."""
    settings = checkpoint.about.get("adapter")
    try:
        return settings if isinstance(settings, dict) and Updates.of(settings) else None
    except FileRefused:
        return None


def after(checkpoint: Checkpoint, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return settings that are true of the updates in a checkpoint; the same where they were.

    Raises:
        FileRefused: as `Updates.of`.
    """
    updates = Updates.of(settings)
    if updates is None:
        return settings
    wanted: dict[str, tuple[float, int]] = {}
    for first, _ in adapters(checkpoint).values():
        rank = checkpoint.tensors[first].shape[0]
        wanted[module(first)] = scale(checkpoint, first) * updates.divisor(rank), rank
    if all(_close(updates.told(name), each) for name, each in wanted.items()):
        return settings
    named = sorted(wanted, key=lambda name: (-len(name), name))  # the end of a name is enough
    alphas = {name: _plain(wanted[name][0]) for name in named}
    ranks = {name: wanted[name][1] for name in named}
    others = any("lora_" in name for name in checkpoint.tensors.keys() - _paired(checkpoint))
    if len(set(alphas.values())) == len(set(ranks.values())) == 1 and not others:
        one = {"lora_alpha": alphas[named[0]], "r": ranks[named[0]]}
        return {**settings, **one, "alpha_pattern": {}, "rank_pattern": {}}
    old = [settings.get(f"{key}_pattern") or {} for key in ("alpha", "rank")]
    return {
        **settings,
        "alpha_pattern": {**alphas, **_rest(old[0], alphas)},
        "rank_pattern": {**ranks, **_rest(old[1], ranks)},
    }


def text(settings: Mapping[str, Any]) -> str:
    """Return settings as PEFT writes them into their file."""
    return json.dumps(settings, indent=2) + "\n"


def module(first: str) -> str:
    """Return what PEFT calls the layer whose update has this first tensor."""
    found = ADAPTER.match(first)
    stem = found["stem"] if found else first
    return stem.removesuffix("lora_").rstrip("._").removeprefix("base_model.model.")


def _paired(checkpoint: Checkpoint) -> set[str]:
    return {name for pair in adapters(checkpoint).values() for name in pair}


def _rest(old: Mapping[str, float], new: Mapping[str, float]) -> Mapping[str, float]:
    """Return the patterns of old that are not among the new ones."""
    return {pattern: value for pattern, value in old.items() if pattern not in new}


def _number(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < 1e9  # type: ignore[operator]


def _followed(pattern: str) -> bool:
    """Return whether an expression is one that is followed."""
    if len(pattern) > LONGEST or not FORM.fullmatch(pattern):
        return False
    try:
        re.compile(pattern)
    except re.error:
        return False
    return len(OPEN.findall(_prefixed(pattern))) <= 2


def _prefixed(pattern: str) -> str:
    """Return an expression with what may stand before it in a name, where it does not say so.

    A number in it is a whole one, all its digits, which spares the search for a part of it.
    """
    pattern = re.sub(r"(d|\])\+", r"\1++", pattern)
    return pattern if pattern.startswith(("^", ".*")) else rf"(.*\.)?({pattern})"


def _close(found: tuple[float, float], wanted: tuple[float, int]) -> bool:
    return all(math.isclose(a, b, rel_tol=1e-9) for a, b in zip(found, wanted, strict=True))


def _plain(alpha: float) -> float:
    """Return an α as a whole number where it is one but for rounding."""
    near = round(alpha)
    return near if math.isclose(alpha, near, rel_tol=1e-9) else alpha
