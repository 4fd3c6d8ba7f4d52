"""Attention head by head on the pages: where it is offered, what follows it, what is refused."""

import json

import numpy as np
import pytest
import torch

from rmtviz import attention, formats, layers, pruning, verdict
from rmtviz.fits import BEMA
from rmtviz.live import Live
from rmtviz.rules import NoiseEdge
from rmtviz.ui import heads, running, session
from rmtviz.ui.library import sample
from rmtviz.words import say

HEAD = "blocks.1.query[2]"


@pytest.fixture
def split():
    return sample("language").by_heads()


@pytest.fixture
def own(packed) -> bytes:
    """Weights with attention, whose number of heads nothing says; keys have fewer."""
    rng = np.random.default_rng(0)
    sides = {"q": (96, 80), "k": (48, 80), "v": (48, 80), "o": (80, 96)}
    names = {f"h.0.attn.{x}_proj.weight": rng.normal(size=side) for x, side in sides.items()}
    return packed({name: array.astype("f4") for name, array in names.items()})


def shown(visitor) -> list[str]:
    """The layers of the page's table, by the names that the choice of a layer has."""
    return list(visitor.at.get_by_key("layer").options)


def names(visitor) -> list[str]:
    return [option.split("  (")[0] for option in shown(visitor)]


def test_it_is_offered_where_there_is_attention_only(visit):
    visitor = visit()
    assert heads.KEY not in visitor.at.session_state
    visitor.choose("model_choice", "language")
    assert visitor.at.get_by_key(heads.KEY).value == "whole"
    assert names(visitor) == [layer.name for layer in sample("language").analysed(BEMA())]


def test_each_head_is_a_layer_with_its_own_verdict(visit, split):
    visitor = visit(model="language").choose(heads.KEY, "each")
    found = split.analysed(BEMA())
    assert visitor.at.query_params["attention"] == "each"
    assert names(visitor) == [layer.name for layer in found]
    assert [head.value for head in visitor.at.subheader] == [verdict.of_model(found)]
    assert say("heads.note", matrices=32, side=32, least=20) in visitor.words
    visitor.choose("layer", HEAD)
    np.testing.assert_allclose(visitor.spectrum["values"], found[HEAD].spectrum.values)
    assert f"**{verdict.of_layer(found[HEAD])}**" in visitor.words
    back = visitor.choose(heads.KEY, "whole")
    assert "attention" not in back.at.query_params
    assert names(back) == [layer.name for layer in sample("language").analysed(BEMA())]


def test_a_link_leads_to_a_head_with_and_without_controls(visit, split):
    link = {"model": "language", "attention": "each", "layer": HEAD}
    for more in ({}, {"controls": "none"}):
        values = visit(**link, **more).spectrum["values"]
        np.testing.assert_allclose(values, split.analysed(BEMA())[HEAD].spectrum.values)


def test_what_training_changed_is_seen_by_heads_too(visit, split):
    visitor = visit(model="language", attention="each", layer=HEAD, view="learnt")
    found = split.analysed(BEMA(), "learnt")[HEAD]
    np.testing.assert_allclose(visitor.spectrum["values"], found.spectrum.values)


def test_the_lines_under_the_picture_make_that_head(visit, split):
    visitor = visit(model="language", attention="each", layer=HEAD)
    found: dict[str, object] = {}
    code = visitor.spectrum["code"].removesuffix("figures.spectrum(layer).show()\n")
    exec(code, found)  # what the page tells visitors to run
    assert found["layer"].spectrum.values == pytest.approx(
        split.analysed(BEMA())[HEAD].spectrum.values
    )


def test_a_cut_by_heads_is_judged_and_written_back(visit, downloads, split):
    visitor = visit("prune", model="language", attention="each", layer=HEAD)
    plan = pruning.plan(split.analysed(BEMA()), NoiseEdge())
    run = running.running(split)
    before, after = running.sizes(split, plan, run)
    read = running.whole(run), running.pruned(run, plan)
    assert verdict.of_plan(plan, before, after, read) in [
        head.value for head in visitor.at.subheader
    ]
    assert say("heads.cut") in visitor.words
    assert say("app.plan", stored=after.parameters / before.parameters) in visitor.buttons()
    content = downloads["language-pruned.safetensors"]()
    written = formats.read(content)
    assert written.digest == pruning.apply(split.checkpoint, plan).digest
    assert all(each.part is None for each in layers.find(written)[0])
    ranks = {
        each.name: np.linalg.matrix_rank(
            each.matrix(attention.by_heads(written)).astype("f8"), 0.01
        )
        for each in layers.find(attention.by_heads(written))[0]
        if each.part
    }
    assert ranks == {name: plan[name].rank_after for name in ranks}
    cuts = json.loads(downloads["language-plan.json"]())["cuts"]
    assert {cut["name"] for cut in cuts} == {layer.name for layer in split.analysed(BEMA())}


def test_a_rank_of_a_head_is_taken_from_the_chart_to_the_plan(visit):
    visitor = visit(model="language", attention="each", layer=HEAD).let_go(5)
    visitor.press("chart.take", rank=5).go("prune")
    assert visitor.at.get_by_key("rank").value == 5
    visitor.choose(heads.KEY, "whole")
    assert HEAD not in names(visitor)
    assert visitor.choose(heads.KEY, "each").choose("layer", HEAD).at.get_by_key("rank").value == 5


def test_the_trade_off_says_that_it_takes_attention_whole(visit):
    assert say("heads.studio") in visit("studio", model="language", attention="each").words
    assert say("heads.studio") not in visit("studio", model="language").words


def test_a_plan_of_whole_projections_is_looked_at_whole(visit):
    visitor = visit("studio", model="language", attention="each")
    visitor.press("studio.original").go("prune")
    assert visitor.at.get_by_key(heads.KEY).value == "whole"
    assert names(visitor) == [layer.name for layer in sample("language").analysed(BEMA())]
    visitor.choose(heads.KEY, "each")  # the plan does not fit: the rule's stands, by heads
    assert HEAD in names(visitor)
    assert visitor.at.get_by_key("rule").value == "noise-edge"


@pytest.mark.parametrize(("told", "layers_seen"), [(4, 12), (5, 4)])
def test_what_the_settings_say_is_taken_if_it_fits(visit, own, told, layers_seen):
    settings = b'{"num_attention_heads": %d, "num_key_value_heads": 2}' % told
    files = {"own.safetensors": own, "config.json": settings}
    kept = session.library().add(formats.together(files))
    visitor = visit(model=kept.key, attention="each")
    assert len(names(visitor)) == layers_seen
    asked = say("heads.count") in [field.label for field in visitor.at.number_input]
    assert asked == (told == 5)


def test_a_live_module_is_cut_and_measured_by_heads(visit):
    torch.manual_seed(0)
    module, x = torch.nn.MultiheadAttention(96, 4), torch.randn(3, 1, 96)

    def moved(copy: torch.nn.Module) -> float:
        with torch.inference_mode():
            return float((copy(x, x, x)[0] - module(x, x, x)[0]).norm())

    live = Live(module, moved)
    kept = session.library().add(live.checkpoint, live=live)
    visitor = visit("prune", model=kept.key, attention="each", heads="4")
    assert "in_proj_weight[q.3]" in names(visitor)
    visitor.press("live.measure", name="moved")
    split = Live(module, moved, heads=4)
    expected = split.judge(pruning.plan(split.analysis, NoiseEdge())).value
    assert visitor.metrics["moved"] == f"{expected:.5g}"


def test_a_number_that_nobody_recorded_is_asked_for(visit, own):
    visitor = visit().upload("own.safetensors", own).choose(heads.KEY, "each")
    assert len(names(visitor)) == 4  # one head is as good as none
    visitor.choose(heads.COUNT, 4)
    assert len(names(visitor)) == 4 + 2 + 2 + 4
    assert visitor.at.query_params["heads"] == "4"
    assert say("heads.note", matrices=12, side=24, least=20) in visitor.words
    assert say("app.plan", stored=1) in visitor.buttons()  # cut, and written back dense
    visitor.choose(heads.COUNT, 8)
    assert say("heads.note_small", matrices=24, side=12, least=20) in visitor.words
    table = visitor.at.dataframe(key="layer_map").value
    assert set(table["law"]) == {say("explore.law.too_small")}


def test_a_number_that_does_not_fit_is_refused_and_nothing_is_split(visit, own):
    visitor = visit().upload("own.safetensors", own).choose(heads.KEY, "each")
    visitor.choose(heads.COUNT, 5)
    words = {"name": "h.0.attn.o_proj.weight", "side": 96, "count": 5}
    assert [what for what, _ in visitor.errors] == [say("error.heads_divide.what", **words)]
    assert len(names(visitor)) == 4
    assert not visitor.choose("model_choice", "clean").errors
    assert not {heads.KEY, heads.COUNT} & set(visitor.at.query_params)
