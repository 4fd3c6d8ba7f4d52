"""A short run of the fuzzer; `make fuzz` does a long one."""

import pytest

from tests.hostile import fuzz
from tests.hostile.making import SMALL


@pytest.mark.parametrize("title", SMALL)
def test_mutated_files_are_read_or_refused(title):
    ends = fuzz.run(SMALL[title], 300, seed=7)
    assert "" not in ends
    assert 300 > ends["read"] >= 60, ends
