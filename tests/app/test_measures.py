"""The metrics of a layer: asked for, then beside those of both copies, the same at every look."""

import numpy as np
import pytest

from rmtviz import metrics
from rmtviz.fits import BEMA
from rmtviz.metrics import METRICS
from rmtviz.ui import measures
from rmtviz.ui.library import sample
from rmtviz.words import say


def table(page) -> list[dict[str, object]]:
    (found,) = [
        each.value for each in page.at.dataframe if "shuffled" in getattr(each.value, "columns", ())
    ]
    return found.to_dict("records")


def test_nothing_is_measured_before_it_is_asked_for(visit, monkeypatch) -> None:
    monkeypatch.setattr(metrics, "measure", pytest.fail)
    page = visit()
    assert say("explore.metrics") in [toggle.label for toggle in page.at.toggle]


def test_every_metric_stands_beside_both_copies(visit) -> None:
    page = visit().choose("metrics", True)
    rows = table(page)
    assert [row["title"] for row in rows] == [metric.title for metric in METRICS.values()]
    by_title = {row["title"]: row for row in rows}
    norm = by_title[METRICS["frobenius_norm"].title]
    weights = sample("clean").checkpoint["0.weight"].astype(np.float64)
    initial = sample("untrained").checkpoint["0.weight"].astype(np.float64)
    assert norm["value"] == norm["shuffled"] == f"{np.linalg.norm(weights):.4g}"
    assert norm["untrained"] == f"{np.linalg.norm(initial):.4g}"
    for column in ("value", "shuffled", "untrained"):
        assert "(D 0." in by_title[METRICS["exponent"].title][column]


def test_a_second_look_and_a_layer_without_a_bulk() -> None:
    model = sample("noisy")
    assert measures.measured(model, "2", BEMA(), "weights") is measures.measured(
        model, "2", BEMA(), "weights"
    )
    last = {each.metric: each for each in measures.measured(model, "4", BEMA(), "learnt")}
    assert last["soft_rank"].value is last["spike_energy"].value is None
    assert last["hard_rank"].value.value == 10
