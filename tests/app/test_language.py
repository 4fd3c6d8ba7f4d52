"""The language demo on the pages: its loss and perplexity before and after a cut."""

import numpy as np
import pytest

from rmtviz import evaluation, pruning, verdict
from rmtviz.fits import BEMA
from rmtviz.rules import RULES, NoiseEdge
from rmtviz.ui import running
from rmtviz.ui.library import sample
from rmtviz.words import say

COUNT = 4_992
CHARACTERS = {"samples": COUNT, "unit": say("unit.characters")}


@pytest.fixture(scope="module")
def read():
    """The whole network and the one that the energy rule leaves, on the selection set."""
    model = sample("language")
    run = running.running(model)
    plan = pruning.plan(model.analysed(BEMA()), RULES["energy"]())
    return evaluation.evaluate(run.network, run.samples("selection")), running.pruned(run, plan)


def test_prune_shows_loss_perplexity_and_accuracy(visit, read):
    prune = visit("prune", model="language").choose("rule", "energy")
    whole, cut = read
    shown = prune.metrics
    assert whole.samples == COUNT
    assert shown[say("prune.loss", **CHARACTERS)] == f"{cut.loss:.3f} nats"
    assert shown[say("prune.perplexity")] == f"{np.exp(cut.loss):.2f}"
    assert shown[say("prune.accuracy", **CHARACTERS)] == f"{cut.accuracy:.2%}"
    assert cut.loss > whole.loss
    assert prune.at.subheader[0].value.endswith(verdict.of_reading(whole, cut))
    assert say("prune.data_enter_text", samples=COUNT, context=128) in prune.words
    assert say("prune.runs_text_help") in prune.words
    assert not [each for each in prune.at.selectbox if each.key in ("run_activation", "run_inputs")]
    prune.press("prune.test")
    assert "On 20,480 test characters:" in prune.words
    assert "The loss on them is" in prune.words


def test_explore_says_the_loss_of_the_plan(visit):
    explore = visit(model="language")
    model = sample("language")
    run = running.running(model)
    plan = pruning.plan(model.analysed(BEMA()), NoiseEdge())
    sentence = verdict.of_reading(running.whole(run), running.pruned(run, plan))
    assert sentence in [each.value for each in explore.at.caption]
    assert explore.spectrum["curve"]["unit"] == "characters"
    assert explore.spectrum["curve"]["samples"] == 1_024


def test_other_data_are_refused_and_how_far_outputs_move_stands_in_their_place(visit):
    prune = visit("prune", model="language").choose("data", "mnist")
    assert say("error.data_no_text.what", dataset="mnist") in prune.words
    assert say("prune.output_error", samples=1_000) in prune.metrics
