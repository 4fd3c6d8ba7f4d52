"""Choices as frozen values: a dataclass whose fields are its knobs, each with its range."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from rmtviz.errors import BadOption


def knob(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    among: tuple[str, ...] | None = None,
) -> Any:
    """Declare a field with a default and an inclusive range (None: unbounded), or its words."""
    metadata = {"low": low, "high": high, "among": among}
    return dataclasses.field(default=default, metadata=metadata)


def check(choice: Any) -> None:
    """Refuse a choice with a knob out of range or none of its words; for `__post_init__`.

    Raises:
        BadOption: names the knob, the value, and the range or the words.
    """
    for field in dataclasses.fields(choice):
        low, high = field.metadata.get("low"), field.metadata.get("high")
        among = field.metadata.get("among")
        value = getattr(choice, field.name)
        if among is not None and value not in among:
            raise BadOption(
                "knob_among",
                choice=type(choice).__name__,
                knob=field.name,
                value=value,
                known=", ".join(among),
            )
        if low is None and high is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and (low is None or value >= low) and (high is None or value <= high):
            continue
        raise BadOption(
            "knob_range",
            choice=type(choice).__name__,
            knob=field.name,
            value=value,
            low="−∞" if low is None else low,
            high="∞" if high is None else high,
        )


def label(table: Mapping[str, type], choice: object) -> str:
    """Return the name under which the table lists this choice's class."""
    return next(name for name, member in table.items() if type(choice) is member)


def values(choice: Any) -> dict[str, Any]:
    """Return the knobs of a choice and their values; a choice within it as it is written."""
    found = {field.name: getattr(choice, field.name) for field in dataclasses.fields(choice)}
    return {
        name: repr(value) if dataclasses.is_dataclass(value) else value
        for name, value in found.items()
    }


def brief(choice: Any) -> str:
    """Return a choice as it is written, without the knobs that stand at their defaults."""
    moved = [
        f"{field.name}={getattr(choice, field.name)!r}"
        for field in dataclasses.fields(choice)
        if getattr(choice, field.name) != field.default
    ]
    return f"{type(choice).__name__}({', '.join(moved)})"


def make(table: Mapping[str, type], name: str, options: Mapping[str, str] | None = None) -> Any:
    """Make the choice of this name, its knobs set from words such as `{"alpha": "0.25"}`.

    Raises:
        BadOption: unknown name, unknown knob, a word that is no number, or out of range.
    """
    if name not in table:
        raise BadOption("unknown_name", name=name, known=", ".join(table))
    fields = {field.name: field for field in dataclasses.fields(table[name])}
    values: dict[str, Any] = {}
    for knob_name, word in (options or {}).items():
        if knob_name not in fields:
            raise BadOption(
                "unknown_knob", choice=name, knob=knob_name, known=", ".join(fields) or "–"
            )
        kind: type = type(fields[knob_name].default)
        try:
            values[knob_name] = kind(word)
        except ValueError:
            raise BadOption(
                "knob_word", choice=name, knob=knob_name, value=word, kind=kind.__name__
            ) from None
    return table[name](**values)
