"""Make assets/data/python-help.txt.xz from the texts that Python's own help() shows.

The texts differ from one Python to the next, so the file is shipped; it was made with Python
3.11.7. Topics come in an order shuffled once, so that those at the end, which are held out,
are no special ones. Topics quote each other at length: a paragraph is kept only where it comes
first, or a network would be tested on what it was trained on. Signs outside of ASCII become
the nearest in it.
"""

import lzma
import pydoc_data.topics

import numpy as np

from rmtviz.site import home

PLAIN = str.maketrans("’‘“”—–…ß°", "''\"\"--.s ")


def text() -> str:
    """Return all topics, each paragraph once."""
    names = sorted(pydoc_data.topics.topics)
    np.random.default_rng(0).shuffle(names)
    kept: dict[str, str] = {}
    for name in names:
        for paragraph in pydoc_data.topics.topics[name].strip("\n").split("\n\n"):
            kept.setdefault(" ".join(paragraph.split()), paragraph)
    return "\n\n".join(kept.values()).translate(PLAIN) + "\n"


if __name__ == "__main__":
    packed = lzma.compress(text().encode("ascii"), preset=9 | lzma.PRESET_EXTREME)
    (home() / "assets" / "data" / "python-help.txt.xz").write_bytes(packed)
