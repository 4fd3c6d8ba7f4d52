"""What every cut promises, whatever the shape, the number type, the rule and the form."""

import dataclasses
import itertools
import json

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rmtviz import formats, layers, pruning
from rmtviz.analysis import STABLE, Analysis, analyze
from rmtviz.checkpoint import FLOATS, Checkpoint
from rmtviz.errors import BadOption, CannotRun, PlanRefused
from rmtviz.formats import FORMATS
from rmtviz.networks import MLP
from rmtviz.pruning import FORMS, Factors, PruningPlan, Size
from rmtviz.rules import RULES, EnergyShare, FixedRank, NoiseEdge, Off

forms = pytest.mark.parametrize("form", FORMS)
rules = pytest.mark.parametrize("rule", RULES)
few = settings(max_examples=30)
seeds = st.integers(0, 2**32)
sides = st.integers(1, 24)

POWERS = {"float16": (-1, 2), "bfloat16": (-15, 15), "float32": (-15, 15), "float64": (-99, 99)}
"""Powers of ten by which the entries of a matrix are scaled, by number type."""


def matrix(draw: st.DrawFn, m: int, n: int) -> np.ndarray:
    """A matrix of any rank, number type and scale."""
    rng = np.random.default_rng(draw(seeds))
    w = rng.normal(size=(m, n))
    if draw(st.booleans()):
        rank = draw(st.integers(1, min(m, n)))
        w = rng.normal(size=(m, rank)) @ rng.normal(size=(rank, n))
    name = draw(st.sampled_from(list(FLOATS)))
    return (w * 10.0 ** draw(st.integers(*POWERS[name]))).astype(FLOATS[name])


matrices = st.composite(lambda draw: matrix(draw, draw(sides), draw(sides)))()


@st.composite
def checkpoints(draw: st.DrawFn) -> Checkpoint:
    """Chains of one to three layers, some with biases; one may be large enough for a fit."""
    widths = draw(st.lists(sides | st.integers(25, 40), min_size=2, max_size=4))
    arrays = {}
    for i, (n, m) in enumerate(itertools.pairwise(widths)):
        arrays[f"net.{2 * i}.weight"] = matrix(draw, m, n)
        if draw(st.booleans()):
            arrays[f"net.{2 * i}.bias"] = np.arange(m, dtype=np.float32)
    return Checkpoint.of(arrays)


@st.composite
def plans(draw: st.DrawFn) -> tuple[Checkpoint, Analysis, PruningPlan]:
    """Checkpoints with a plan for them: any rule, any form, some ranks of one's own."""
    checkpoint = draw(checkpoints())
    analysis = analyze(checkpoint)
    rule = RULES[draw(st.sampled_from(list(RULES)))]()
    if isinstance(rule, FixedRank):
        rule = FixedRank(draw(st.integers(1, 30)))
    own = draw(st.dictionaries(st.sampled_from([x.name for x in analysis]), seeds))
    own = {name: 1 + rank % analysis[name].spectrum.p for name, rank in own.items()}
    form, last = draw(st.sampled_from(FORMS)), draw(st.booleans())
    return checkpoint, analysis, pruning.plan(analysis, rule, own, form=form, include_last=last)


def one(array: np.ndarray, bias: np.ndarray | None = None) -> Checkpoint:
    """A checkpoint of one layer called "fc"."""
    return Checkpoint.of({"fc.weight": array} | ({} if bias is None else {"fc.bias": bias}))


def cut(checkpoint: Checkpoint, rank: int, form: str = "auto") -> Checkpoint:
    """The checkpoint with its layer "fc" cut to a rank."""
    plan = pruning.plan(analyze(checkpoint), Off(), {"fc": rank}, form=form)
    return pruning.apply(checkpoint, plan)


def product(checkpoint: Checkpoint, name: str = "fc") -> np.ndarray:
    """The matrix of a layer, from its tensors."""
    (layer,) = (layer for layer in layers.find(checkpoint)[0] if layer.name == name)
    return layer.matrix(checkpoint)


def rounding(array: np.ndarray) -> float:
    """How far, in Frobenius norm, storing a cut of this matrix may move it, in either form."""
    exact = np.linalg.norm(array.astype(np.float64))
    return float(4 * np.sqrt(min(array.shape)) * ml_dtypes.finfo(array.dtype).eps * exact)


def refused(kind: type[Exception], key: str):
    return pytest.raises(kind, check=lambda refusal: refusal.key == key)


@given(matrices, st.integers(-200, 50), st.data())
def test_factors_are_those_of_numpy(w: np.ndarray, power: int, data: st.DataObject) -> None:
    w = w.astype(np.float64) * 10.0**power
    left, values, right = np.linalg.svd(w, full_matrices=False)
    factors, rank = Factors.of(w), data.draw(st.integers(1, min(w.shape)))
    near = 1e-7 * values[0]
    assert factors.values == pytest.approx(values, abs=near, rel=0)
    assert factors.truncated(min(w.shape)) == pytest.approx(w, abs=1e-12 * values[0], rel=0)
    first, second = factors.pair(rank)
    assert (first.shape, second.shape) == ((rank, w.shape[1]), (w.shape[0], rank))
    cut = factors.truncated(rank)
    assert second @ first == pytest.approx(cut, abs=1e-12 * values[0], rel=0)
    if rank == len(values) or values[rank] < 0.99 * values[rank - 1]:  # else it is not unique
        expected = (left[:, :rank] * values[:rank]) @ right[:rank]
        assert cut == pytest.approx(expected, abs=near, rel=0)


@given(matrices)
def test_factors_are_orthonormal(w: np.ndarray) -> None:
    factors = Factors.of(w.astype(np.float64))
    kept = factors.values > 1e-5 * factors.values[0]
    for directions in (factors.left[:, kept], factors.right[:, kept]):
        assert directions.T @ directions == pytest.approx(np.eye(kept.sum()), abs=1e-5)


@forms
@given(w=matrices, data=st.data())
def test_error_of_a_cut_is_the_removed_energy(form: str, w: np.ndarray, data) -> None:
    rank = data.draw(st.integers(1, min(w.shape)))
    checkpoint, exact = one(w), w.astype(np.float64)
    values, norm = np.linalg.svd(exact, compute_uv=False), np.linalg.norm(exact)
    removed = np.linalg.norm(values[rank:])
    error = np.linalg.norm(exact - product(cut(checkpoint, rank, form)))
    assert error == pytest.approx(removed, abs=rounding(w) + 1e-6 * norm)
    said = pruning.error(analyze(checkpoint)["fc"], rank)
    assert said == pytest.approx(removed / norm, abs=1e-6)


@given(matrices, st.data())
def test_factored_equals_dense_to_rounding(w: np.ndarray, data: st.DataObject) -> None:
    checkpoint, rank = one(w), data.draw(st.integers(1, min(w.shape)))
    dense, pair = (product(cut(checkpoint, rank, form)) for form in ("dense", "factored"))
    assert np.linalg.norm(dense - pair) <= rounding(w)


@forms
@few
@given(checkpoint=checkpoints())
def test_keep_all_changes_nothing(form: str, checkpoint: Checkpoint) -> None:
    analysis = analyze(checkpoint)
    whole = {layer.name: layer.spectrum.p for layer in analysis}
    for rule, own in ((Off(), {}), (FixedRank(65536), {}), (EnergyShare(1.0), {}), (Off(), whole)):
        plan = pruning.plan(analysis, rule, own, form=form, include_last=True)
        assert {cut.form for cut in plan.cuts} == {"whole"}
        assert pruning.apply(checkpoint, plan).digest == checkpoint.digest


@given(sides, sides, sides, st.booleans())
def test_keep_all_changes_no_pair_either(m: int, n: int, inner: int, wide: bool) -> None:
    inner = min(m, n) + inner if wide else min(m, n, inner)
    arrays = {"fc.0.weight": np.ones((inner, n)), "fc.1.weight": np.ones((m, inner))}
    checkpoint = Checkpoint.of(arrays).with_about(factored=["fc"])
    for own in ({}, {"fc": min(m, n)}):
        plan = pruning.plan(analyze(checkpoint), Off(), own)
        assert plan["fc"].parameters_after == inner * (m + n)
        assert pruning.apply(checkpoint, plan).digest == checkpoint.digest


@few
@given(plans())
def test_a_plan_survives_json(made: tuple[Checkpoint, Analysis, PruningPlan]) -> None:
    _, _, plan = made
    assert PruningPlan.from_json(plan.to_json()) == plan


PLAN = pruning.plan(analyze(one(np.eye(5))), FixedRank(2)).to_json()


@pytest.mark.parametrize(
    "changed",
    [{"digest": 3}, {"cuts": [{}]}, {"cuts": 2 * json.loads(PLAN)["cuts"]}, {"more": 1}],
    ids=["digest", "an empty cut", "a layer twice", "more"],
)
def test_a_plan_that_makes_no_sense_is_refused(changed: dict[str, object]) -> None:
    with refused(PlanRefused, "plan_unreadable"):
        PruningPlan.from_json(json.dumps(json.loads(PLAN) | changed))


@pytest.mark.parametrize(
    "changed",
    [
        *({"rank_after": rank} for rank in (0, 6, 2.5, "2", True, None)),
        *({"form": form} for form in ("sparse", "auto", 1)),
        {"name": ["fc"]},
        {"more": 1},
    ],
    ids=str,
)
def test_a_cut_that_makes_no_sense_is_refused(changed: dict[str, object]) -> None:
    record = json.loads(PLAN)
    record["cuts"][0] |= changed
    with refused(PlanRefused, "plan_unreadable"):
        PruningPlan.from_json(json.dumps(record))


@pytest.mark.parametrize("text", ["", "{}", "[]", "3", "null", '{"cuts": 3}', "[" * 100_000])
def test_text_that_is_no_plan_is_refused(text: str) -> None:
    with refused(PlanRefused, "plan_unreadable"):
        PruningPlan.from_json(text)


@few
@given(plans(), seeds)
def test_a_plan_refuses_another_checkpoint(made, seed: int) -> None:
    checkpoint, _, plan = made
    arrays = {name: checkpoint[name].copy() for name in checkpoint}
    changed = arrays[list(arrays)[seed % len(arrays)]].view(np.uint8).reshape(-1)
    changed[seed % changed.size] ^= 1
    with refused(PlanRefused, "plan_other"):
        pruning.apply(Checkpoint.of(arrays), plan)


def test_a_plan_refuses_layers_that_the_record_no_longer_names() -> None:
    pair = cut(one(np.random.default_rng(0).normal(size=(30, 30))), 4)
    plan = pruning.plan(analyze(pair), FixedRank(2))
    with refused(PlanRefused, "plan_layer"):
        pruning.apply(pair.with_about(factored=[]), plan)


@few
@given(plans())
def test_the_original_is_never_changed(made: tuple[Checkpoint, Analysis, PruningPlan]) -> None:
    checkpoint, _, plan = made
    before = {name: checkpoint[name].copy() for name in checkpoint}
    pruning.apply(checkpoint, plan)
    again = Checkpoint.of({name: checkpoint[name] for name in checkpoint})
    assert again.digest == Checkpoint.of(before).digest == plan.digest


@few
@given(plans())
def test_a_plan_counts_what_is_stored(made: tuple[Checkpoint, Analysis, PruningPlan]) -> None:
    checkpoint, _, plan = made
    pruned = pruning.apply(checkpoint, plan)
    for each, counted in ((checkpoint, "parameters_before"), (pruned, "parameters_after")):
        arrays = {name: each[name] for name in each}
        weights = {name: array.size for name, array in arrays.items() if array.ndim == 2}
        for cut in plan.cuts:
            mine = {f"{cut.name}.{part}weight" for part in ("", "0.", "1.")}
            assert getattr(cut, counted) == sum(weights.pop(name, 0) for name in mine)
        assert not weights
        size = Size.of(each)
        assert size.macs == sum(getattr(cut, counted) for cut in plan.cuts)
        assert size.parameters == sum(array.size for array in arrays.values())
        assert size.bytes == sum(array.nbytes for array in arrays.values())


@few
@given(plans())
def test_cut_layers_have_the_planned_rank_and_their_own_number_type(made) -> None:
    checkpoint, analysis, plan = made
    pruned = pruning.apply(checkpoint, plan)
    found = {layer.name: layer for layer in layers.find(pruned)[0]}
    assert set(found) == {cut.name for cut in plan.cuts}
    for cut in plan.cuts:
        layer = found[cut.name]
        assert layer.shape == analysis[cut.name].layer.shape
        assert (layer.kind == "factored") == (cut.form == "factored")
        kinds = {pruned[name].dtype for name in layer.tensors}
        assert kinds == {checkpoint[f"{cut.name}.weight"].dtype}
        if cut.form == "factored":
            (m, n), r = layer.shape, cut.rank_after
            assert [pruned[name].shape for name in layer.tensors] == [(r, n), (m, r)]


@forms
@few
@given(m=sides, n=sides, rank=sides, seed=seeds)
def test_auto_is_factored_exactly_where_that_is_smaller(form, m, n, rank, seed) -> None:
    rank = min(rank, m, n)
    w = np.random.default_rng(seed).normal(size=(m, n))
    made = pruning.plan(analyze(one(w)), Off(), {"fc": rank}, form=form)["fc"]
    smaller = rank * (m + n) < m * n
    expected = {"auto": "factored" if smaller else "dense"}.get(form, form)
    assert made.form == (expected if rank < min(m, n) else "whole")


@forms
@few
@given(w=matrices, rank=sides)
def test_bias_survives_under_the_name_of_the_last_tensor(form, w, rank) -> None:
    bias = np.random.default_rng(0).normal(size=len(w)).astype(np.float16)
    pruned = cut(one(w, bias), min(rank, *w.shape), form)
    name = "fc.1.bias" if "fc.1.weight" in pruned else "fc.bias"
    assert [name for name in pruned if name.endswith("bias")] == [name]
    assert (pruned[name].dtype, pruned[name].tolist()) == (bias.dtype, bias.tolist())
    (layer,), _ = layers.find(pruned)
    assert layers.bias(pruned, layer) == name


def test_a_dense_cut_keeps_every_name() -> None:
    arrays = {"a": np.eye(5, 7), "a.weight": np.eye(3, 5), "a.bias": np.ones(3)}
    plan = pruning.plan(analyze(arrays), FixedRank(2), form="dense", include_last=True)
    assert {cut.name for cut in plan.cuts} == {"a", "a.weight"}
    assert set(pruning.apply(Checkpoint.of(arrays), plan)) == set(arrays)


@pytest.mark.parametrize("name", ["fc.0.weight", "fc.1.weight", "fc.1.bias"])
def test_a_taken_name_is_refused(name: str) -> None:
    arrays = {"fc.weight": np.eye(8), "fc.bias": np.ones(8), name: np.ones(3)}
    with refused(PlanRefused, "name_taken"):
        cut(Checkpoint.of(arrays), 2, "factored")
    assert set(cut(Checkpoint.of(arrays), 2, "dense")) == set(arrays)
    del arrays["fc.bias"]
    if name == "fc.1.bias":  # without a bias of the layer's own nothing wants that name
        assert name in cut(Checkpoint.of(arrays), 2, "factored")


@rules
@few
@given(checkpoint=checkpoints())
def test_the_last_layer_stays_whole_unless_asked_for(rule: str, checkpoint: Checkpoint) -> None:
    analysis, choice = analyze(checkpoint), RULES[rule]()
    if rule == "rank":
        choice = FixedRank(1)
    last = analysis.layers[-1]
    plan = pruning.plan(analysis, choice)
    asked = pruning.plan(analysis, choice, include_last=True)
    own = pruning.plan(analysis, choice, {last.name: 1})
    assert asked[last.name].rank_after == choice(last).rank
    assert asked[last.name].reason == choice(last).reason
    assert (own[last.name].rank_after, own[last.name].reason) == (1, "chosen")
    if len(analysis.layers) > 1:
        assert (plan[last.name].form, plan[last.name].reason) == ("whole", "last")
    else:
        assert plan == asked


@few
@given(checkpoints(), st.data())
def test_an_override_replaces_the_rule_in_its_layer_only(checkpoint, data) -> None:
    analysis = analyze(checkpoint)
    layer = data.draw(st.sampled_from(analysis.layers))
    rank = data.draw(st.integers(1, layer.spectrum.p))
    plan, plain = (pruning.plan(analysis, FixedRank(3), own) for own in ({layer.name: rank}, {}))
    assert (plan[layer.name].rank_after, plan[layer.name].reason) == (rank, "chosen")
    rest = [cut for cut in plan.cuts if cut.name != layer.name]
    assert rest == [cut for cut in plain.cuts if cut.name != layer.name]
    for wrong in (0, -1, layer.spectrum.p + 1):
        with refused(BadOption, "rank_range"):
            pruning.plan(analysis, Off(), {layer.name: wrong})
    with refused(BadOption, "unknown_layer"):
        pruning.plan(analysis, Off(), {layer.name + "x": 1})
    with refused(BadOption, "unknown_name"):
        pruning.plan(analysis, Off(), form="sparse")
    with refused(BadOption, "unknown_layer"):
        plan["none of these"]


@few
@given(st.lists(st.none() | st.integers(0, 15), min_size=2, max_size=4))
def test_careful_leaves_layers_whole_where_methods_disagree(ranks: list[int | None]) -> None:
    analysis = analyze(one(np.random.default_rng(0).normal(size=(40, 50))))
    layer = dataclasses.replace(analysis["fc"], ranks=dict(zip("abcd", ranks, strict=False)))
    assert layer.spikes == 0
    analysis = dataclasses.replace(analysis, layers=(layer,))
    known = [rank for rank in ranks if rank is not None]
    agree = len(known) == len(ranks) and min(known) >= STABLE * max(known)
    bold, wary = (pruning.plan(analysis, NoiseEdge(), careful=word)["fc"] for word in (False, True))
    assert (bold.rank_after, bold.stable, bold.reason) == (1, agree, "noise_edge")
    if agree:
        assert wary == bold
    else:
        assert (wary.form, wary.rank_after, wary.reason) == ("whole", 40, "unstable")


@given(matrices, st.data())
def test_a_pair_cut_again_is_one_pair_and_the_cut_of_its_product(w, data) -> None:
    assume(min(w.shape) > 2)
    bias = np.arange(len(w), dtype=w.dtype)
    more = data.draw(st.integers(2, min(w.shape) - 1))
    less = data.draw(st.integers(1, more - 1))
    once = cut(one(w, bias), more, "factored")
    again = cut(once, less, "factored")
    assert set(again) == {"fc.0.weight", "fc.1.weight", "fc.1.bias"}
    assert again.about["factored"] == ["fc"]
    assert again["fc.0.weight"].shape == (less, w.shape[1])
    best = Factors.of(product(once)).truncated(less)
    assert np.linalg.norm(product(again) - best) <= rounding(w)
    dense = cut(once, less, "dense")
    assert (set(dense), dense.about["factored"]) == ({"fc.weight", "fc.bias"}, [])
    assert np.linalg.norm(product(dense) - best) <= rounding(w)


@few
@given(plans())
def test_factors_made_before_give_the_same_cut(made) -> None:
    checkpoint, _, plan = made
    found = layers.find(checkpoint)[0]
    known = {layer.name: pruning.factors(checkpoint, layer) for layer in found}
    pruned = pruning.apply(checkpoint, plan)
    assert pruning.apply(checkpoint, plan, known).digest == pruned.digest


@pytest.mark.parametrize("name", FORMATS)
@few
@given(made=plans())
def test_a_pruned_file_read_again_is_the_same_network(name: str, made) -> None:
    checkpoint, _, plan = made
    pruned = pruning.apply(checkpoint, plan)
    again = formats.read(formats.write(pruned, name))
    assert again.digest == pruned.digest
    assert layers.find(again) == layers.find(pruned)
    pairs = [cut.name for cut in plan.cuts if cut.form == "factored"]
    assert list(again.about.get("factored", [])) == sorted(pairs, key=layers.natural)
    assert layers.suspected_pairs(again) == ()


@few
@given(st.integers(3, 12), st.integers(3, 12), st.booleans())
def test_a_pair_that_nobody_declared_is_asked_about(m: int, n: int, bias: bool) -> None:
    known = cut(one(np.eye(m, n), np.ones(m) if bias else None), 2, "factored")
    unknown = dataclasses.replace(known, metadata={})
    with refused(CannotRun, "perhaps_factored"):
        MLP()(unknown)
    assert [layer.kind for layer in MLP()(known).layers] == ["factored"]
    answered = MLP()(unknown.with_about(factored=[]))
    assert [layer.kind for layer in answered.layers] == ["linear", "linear"]


@few
@given(plans())
def test_a_plan_says_in_words_what_it_does(made) -> None:
    _, _, plan = made
    head, *lines = str(plan).splitlines()
    assert head == f"{plan.rule}, {plan.method}, {plan.digest[:12]}"
    for cut, line in zip(plan.cuts, lines, strict=True):
        assert line.startswith(f"{cut.name}: rank {cut.rank_before} → {cut.rank_after}, {cut.form}")
