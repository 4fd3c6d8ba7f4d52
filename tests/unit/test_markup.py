"""What values show of themselves in a notebook: their figures, escaped, in one's language."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from rmtviz import analyze, apply, evaluation, markup, plan, pruning, tradeoff
from rmtviz.checkpoint import Checkpoint
from rmtviz.costs import Size
from rmtviz.datasets import Samples
from rmtviz.live import Judged
from rmtviz.networks import MLP
from rmtviz.rules import FixedRank
from rmtviz.words import LANGUAGES, say, speaking
from rmtviz.workpiece import Outcome

NASTY = "<script>alert(1)</script>&"


@pytest.fixture(scope="module")
def values() -> Mapping[str, Any]:
    rng = np.random.default_rng(0)
    checkpoint = Checkpoint.of(
        {
            "0.weight": rng.standard_normal((40, 30)).astype(np.float32),
            "0.bias": np.zeros(40, np.float32),
            "2.weight": rng.standard_normal((5, 40)).astype(np.float32),
        },
        source=NASTY,
    )
    analysis = analyze(checkpoint)
    cut = plan(analysis, FixedRank(7))
    pruned = apply(checkpoint, cut)
    images = rng.integers(0, 256, (50, 30)).astype(np.uint8)
    samples = Samples("selection", images, rng.integers(0, 5, 50), NASTY, 5)
    choice = MLP(inputs="raw", activation="relu")
    read, after = (evaluation.evaluate(choice(each), samples) for each in (checkpoint, pruned))
    paired = evaluation.compare(read, after, samples.labels)
    factors = pruning.factors(checkpoint, analysis["0"].layer)
    return {
        "checkpoint": checkpoint,
        "analysis": analysis,
        "layer": analysis["0"],
        "none": analysis["2"].fit,
        "fit": analysis["0"].fit,
        "spectrum": analysis["0"].spectrum,
        "plan": cut,
        "evaluation": read,
        "curve": tradeoff.curve(choice(checkpoint), 0, factors, samples),
        "outcome": Outcome("rank", cut, Size.of(pruned), 50, after.accuracy, after.loss, paired),
        "judged": Judged(cut, Size.of(pruned), 0.25),
    }


def text(value: Any) -> str:
    """The words of what a notebook shows; it is well-formed, and none of it is run."""
    root = ET.fromstring(value._repr_html_())
    assert {each.tag for each in root.iter()} <= {
        *("div", "p", "table", "thead", "tbody", "tr", "th", "td")
    }
    return "\n".join(root.itertext())


FIGURES = {
    "checkpoint": lambda x: (x.source, f"{x.parameters:,}", "0.bias", "40 × 30", "float32"),
    "analysis": lambda x: (x.model.source, "40 × 30", f"{x['0'].sigma:.4g}", f"{x['0'].spikes}"),
    "layer": lambda x: (f"{x.cut:.4g}", f"{x.ks:.3f}", f"{x.bulk_directions:.0%}"),
    "none": lambda x: (x.status.value, "BEMA"),
    "fit": lambda x: (f"{x.bulk.sigma:.4g}", f"{x.bulk.cut:.4g}", "BEMA"),
    "spectrum": lambda x: (f"{x.values[0]:.4g}", f"{x.values[-1]:.4g}", "30", "40"),
    "plan": lambda x: (x.rule, x.digest[:12], "30 → 7", "1,200 → 490"),
    "evaluation": lambda x: (f"{x.accuracy:.2%}", "50", f"{100 * x.standard_error:.2f}", NASTY),
    "curve": lambda x: ("50", *map(str, x.ranks), f"{x.accuracy[0]:.2%}"),
    "outcome": lambda x: (f"{x.accuracy:.2%}", "50", f"{x.size.macs:,}", x.plan.rule),
    "judged": lambda x: ("0.25", f"{x.size.parameters:,}", f"{x.size.bytes:,}"),
}


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("name", FIGURES)
def test_a_value_shows_its_figures_in_a_notebook(values, name: str, code: str) -> None:
    with speaking(code):
        words = text(values[name])
    assert [each for each in FIGURES[name](values[name]) if each not in words] == []
    assert bool(re.search("[ぁ-んァ-ヴ]", words)) == (code == "ja")


def test_a_long_table_says_how_much_more_there_is() -> None:
    page = markup.shown("x", ({"name": str(row)} for row in range(markup.MOST + 3)))
    assert page.count("<tr>") == markup.MOST + 1
    assert say("notebook.more", count=3) in page
    assert "<table" not in markup.shown("x")
