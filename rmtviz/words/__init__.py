"""The catalogues: every sentence that a person reads, by key, one TOML file a language.

Library values carry keys; whoever shows them (page, command line, report, error) asks
for the words here. A sentence may hold fields in the style of `str.format`. To add a
language, translate `en.toml` and name the file in `LANGUAGES`.
"""

import functools
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import resources
from string import Formatter

LANGUAGES: Mapping[str, str] = {"en": "English", "ja": "日本語"}
"""The languages, by their codes (BCP 47): how each calls itself."""

_spoken: ContextVar[str | None] = ContextVar("spoken", default=None)


def _set() -> str | None:
    """Return the language of the environment, for the command line."""
    return os.environ.get("RMTVIZ_LANGUAGE")


_asked: Callable[[], str | None] = _set


def say(key: str, /, **values: object) -> str:
    """Return the sentence of this key with its fields filled in, in the language of `language`.

    Raises:
        KeyError: no such key, or a field without a value; a fault of the program.
    """
    return catalogue()[key].format(**values)


def partly(key: str, /, **values: object) -> str:
    """Return the sentence of this key with these fields filled in and the others left open.

    A browser that follows a hand fills in the rest.
    """
    sentence = catalogue()[key]
    names = {name for _, name, _, _ in Formatter().parse(sentence) if name}
    return sentence.format(**{name: f"{{{name}}}" for name in names - set(values)}, **values)


def language() -> str:
    """Return the language spoken here: that of `speaking`, else what `ask` knows, else English."""
    found = _spoken.get() or _asked()
    return found if found and found in LANGUAGES else next(iter(LANGUAGES))


@contextmanager
def speaking(code: str) -> Iterator[None]:
    """Speak one language as long as the context lasts."""
    token = _spoken.set(code)
    try:
        yield
    finally:
        _spoken.reset(token)


def ask(who: Callable[[], str | None]) -> None:
    """Take the language from a function of the program's surface, which knows its reader."""
    global _asked
    _asked = who


def catalogue(code: str | None = None) -> Mapping[str, str]:
    """Return all sentences of a language, the spoken one by default, their keys joined by dots."""
    return _read(code or language())


@functools.cache
def _read(code: str) -> Mapping[str, str]:
    text = resources.files(__name__).joinpath(f"{code}.toml").read_text("utf-8")
    return dict(_flat(tomllib.loads(text)))


def _flat(table: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in table.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{name}.")
        else:
            pairs.append((prefix + name, str(value)))
    return pairs
