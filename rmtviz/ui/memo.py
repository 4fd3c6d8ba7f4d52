"""What was computed for a model, kept with the model: when it is forgotten, all of it goes.

Streamlit's caches outlive what they were made from; here the results of a model live in
the model. Keys are frozen values (a plan, a method, a layer's name), never arrays.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")


class Memo:
    """Results by key, the latest kept; each is computed once, also when two ask at once."""

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._guard = threading.Lock()
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._busy: dict[Hashable, threading.Lock] = {}

    def known(self, key: Hashable) -> Any:
        """Return what is kept under a key, or None: nothing is computed."""
        with self._guard:
            return self._kept.get(key)

    def __call__(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what is kept under a key, or what `make` returns; an error is not kept."""
        with self._guard:
            if key in self._kept:
                self._kept.move_to_end(key)
                kept: T = self._kept[key]
                return kept
            turn = self._busy.setdefault(key, threading.Lock())
        with turn:
            with self._guard:
                if key in self._kept:
                    found: T = self._kept[key]
                    return found
            try:
                made = make()
                with self._guard:
                    self._kept[key] = made
                    while len(self._kept) > self._most:
                        self._kept.popitem(last=False)
            finally:
                with self._guard:
                    self._busy.pop(key, None)
            return made
