"""The catalogue: every sentence that a person reads, by key, one TOML file a language.

Library values carry keys; whoever shows them (page, command line, report, error) asks
for the words here. A sentence may hold fields in the style of `str.format`.
"""

import functools
import tomllib
from collections.abc import Mapping
from importlib import resources


def say(key: str, /, **values: object) -> str:
    """Return the sentence of this key with its fields filled in.

    Raises:
        KeyError: no such key, or a field without a value; a fault of the program.
    """
    return catalogue()[key].format(**values)


@functools.cache
def catalogue(language: str = "en") -> Mapping[str, str]:
    """Return all sentences of a language, their keys joined by dots."""
    text = resources.files(__name__).joinpath(f"{language}.toml").read_text("utf-8")
    return dict(_flat(tomllib.loads(text)))


def _flat(table: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in table.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{name}.")
        else:
            pairs.append((prefix + name, str(value)))
    return pairs
