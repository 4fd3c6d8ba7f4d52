"""`python -m rmtviz.formats`: read one file under limits, and tell how it went (`_rehearsal`)."""

import json
import sys
from pathlib import Path

from rmtviz import formats
from rmtviz.errors import FileRefused, RmtvizError
from rmtviz.formats import Limits, _rehearsal


def main(asked: str) -> str:
    """Return what became of the file that is asked for; its bytes come in, if it has no path."""
    words = json.loads(asked)
    limits = Limits(**words["limits"])
    _rehearsal.confine(limits)
    refusal: RmtvizError | None = None
    try:
        path = words["path"]
        formats.read(Path(path) if path else sys.stdin.buffer.read(), words["name"], limits)
    except RmtvizError as problem:
        refusal = problem
    except MemoryError:
        refusal = FileRefused("limit_memory", source=words["name"], limit=limits.memory)
    return _rehearsal.told(refusal)


if __name__ == "__main__":
    print(main(sys.argv[1]))
