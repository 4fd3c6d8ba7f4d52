"""A short run of the fuzzer; `make fuzz` does a long one."""

import pytest

from rmtviz import formats
from tests.hostile import fuzz, making
from tests.hostile.structured import STRUCTURED


@pytest.mark.parametrize("title", fuzz.TITLES)
def test_mutated_files_are_read_or_refused(title):
    ends = fuzz.run(title, 300, seed=7)
    assert "" not in ends
    assert 300 > ends["read"] >= 60, ends


FINDS = sorted(path for path in fuzz.CORPUS.iterdir() if path.suffix != ".md")


@pytest.mark.parametrize("path", FINDS, ids=lambda path: path.name)
def test_finds_stay_mended(path):
    with making.memory_below(16 * making.MEGABYTE):
        for opened in {formats.read, *(each.opened for each in STRUCTURED.values())}:
            assert fuzz.outcome(path.read_bytes(), opened)
