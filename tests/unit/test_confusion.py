"""The confusion matrix as a picture: all counts are written, mistakes alone are shaded."""

import numpy as np
import pytest

from rmtviz import figures
from rmtviz.tokens import MODES


@pytest.mark.parametrize("mode", MODES)
def test_mistakes_are_shaded_and_what_is_right_is_not(mode: str) -> None:
    counts = np.array([[90, 2, 0], [1, 80, 7], [0, 0, 70]])
    figure = figures.confusion(counts, mode)
    (heat,) = figure.data
    assert np.array_equal(heat.text, counts)
    assert np.isnan(np.diag(heat.z)).all()
    off = ~np.eye(3, dtype=bool)
    assert np.array_equal(heat.z[off], counts[off])
    assert figure.layout.yaxis.autorange == "reversed"  # the first label stands on top
    assert counts[0, 0] == 90  # what was given is not written into
