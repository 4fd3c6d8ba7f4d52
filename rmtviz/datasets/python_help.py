"""Python's help texts, character by character: what comes next is the label of every place."""

import functools
import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rmtviz import site
from rmtviz.datasets.base import Dataset
from rmtviz.errors import DataRefused

CHARACTERS = ("\n", *map(chr, range(32, 127)))
"""The characters by their tokens: the end of a line, then the printable ones of ASCII."""

CONTEXT = 128
"""The characters of one window; a network sees nothing of the windows before."""

TESTED = 160
"""The last so many windows are the test file, the others the training file."""


@dataclass(frozen=True, slots=True)
class PythonHelp:
    """The texts that Python 3.11's help() shows, 373,234 characters, each paragraph once."""

    def __call__(self) -> Dataset:
        """Return the dataset: windows of tokens (N, context), and the next token at each place.

        Raises:
            DataRefused: the file is missing, or does not hold the text.
        """
        return _load(site.home() / "assets" / "data" / "python-help.txt.xz")


@functools.lru_cache(maxsize=1)
def _load(path: Path) -> Dataset:
    try:
        tokens = encode(lzma.decompress(path.read_bytes()).decode("ascii"))
    except FileNotFoundError:
        raise DataRefused("data_missing", dataset="Python help", file=path.name) from None
    except (OSError, EOFError, ValueError, lzma.LZMAError):
        raise DataRefused("data_broken", dataset="Python help", file=path.name) from None
    count = (len(tokens) - 1) // CONTEXT
    windows = tokens[: count * CONTEXT].reshape(count, CONTEXT)
    following = tokens[1 : count * CONTEXT + 1].reshape(count, CONTEXT).astype(np.int64)
    return Dataset(
        name="python-help",
        train_images=windows[:-TESTED],
        train_labels=following[:-TESTED],
        test_images=windows[-TESTED:],
        test_labels=following[-TESTED:],
        clean_labels=following[:-TESTED],
        image_shape=(1, CONTEXT),
        classes=CHARACTERS,
        mean=0.0,
        std=1.0,
        top=1.0,
    )


def encode(text: str) -> NDArray[np.uint8]:
    """Return the tokens of a text.

    Raises:
        ValueError: it has a character that is none of `CHARACTERS`.
    """
    signs = np.frombuffer(text.encode("ascii"), np.uint8)
    tokens = np.where(signs == ord("\n"), 0, signs - np.uint8(31)).astype(np.uint8)
    if tokens.size and tokens.max() >= len(CHARACTERS):
        raise ValueError("a character that is not printable")
    return tokens
