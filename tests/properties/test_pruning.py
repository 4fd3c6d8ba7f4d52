"""What every cut promises, whatever the shape, the number type, the rule and the form."""

import dataclasses
import itertools
import json

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from rmtviz import formats, layers, pruning
from rmtviz.analysis import STABLE, Analysis, analyze
from rmtviz.checkpoint import COARSE, COMPLEX, FLOATS, Checkpoint, double
from rmtviz.errors import BadOption, CannotRun, PlanRefused
from rmtviz.fits import COMPARED
from rmtviz.formats import FORMATS
from rmtviz.networks import MLP
from rmtviz.pruning import BELOW, FORMS, Factors, PruningPlan, Size
from rmtviz.rules import RULES, EnergyShare, FixedRank, Keep, NoiseEdge, Off, Shrinkage, TwoSided

forms = pytest.mark.parametrize("form", FORMS)
rules = pytest.mark.parametrize("rule", RULES)
few = settings(max_examples=30)
seeds = st.integers(0, 2**32)
sides = st.integers(1, 24)

NUMBERS = {**FLOATS, **{name: np.dtype(name) for name in COMPLEX}}

POWERS = {
    **dict.fromkeys(COARSE, (-1, 0)),
    "float16": (-1, 2),
    "bfloat16": (-15, 15),
    "float32": (-15, 15),
    "float64": (-99, 99),
    "complex64": (-15, 15),
    "complex128": (-99, 99),
}
"""Powers of ten by which the entries of a matrix are scaled, by number type."""


def matrix(draw: st.DrawFn, m: int, n: int) -> np.ndarray:
    """A matrix of any rank, number type and scale."""
    rng = np.random.default_rng(draw(seeds))
    name = draw(st.sampled_from(list(NUMBERS)))

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=shape) + (1j * rng.normal(size=shape) if name in COMPLEX else 0)

    w = normal(m, n)
    if draw(st.booleans()):
        rank = draw(st.integers(1, min(m, n)))
        w = normal(m, rank) @ normal(rank, n)
    w[0] *= draw(st.sampled_from([1, 10]))  # a spike
    return (w * 10.0 ** draw(st.integers(*POWERS[name]))).astype(NUMBERS[name])


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
    made = Checkpoint.of(arrays)
    assume(not made.twins)
    return made


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
    return double(layer.matrix(checkpoint))


def rounding(array: np.ndarray) -> float:
    """How far, in Frobenius norm, storing a cut of this matrix may move it, in either form."""
    exact = np.linalg.norm(double(array))
    return float(4 * np.sqrt(min(array.shape)) * ml_dtypes.finfo(array.dtype).eps * exact)


def refused(kind: type[Exception], key: str):
    return pytest.raises(kind, check=lambda refusal: refusal.key == key)


@given(matrices, st.integers(-200, 50), st.data())
def test_factors_are_those_of_numpy(w: np.ndarray, power: int, data: st.DataObject) -> None:
    w = double(w) * 10.0**power
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
    factors = Factors.of(double(w))
    kept = factors.values > 1e-5 * factors.values[0]
    for directions in (factors.left[:, kept], factors.right[:, kept]):
        assert directions.conj().T @ directions == pytest.approx(np.eye(kept.sum()), abs=1e-5)


@forms
@given(w=matrices, data=st.data())
def test_error_of_a_cut_is_the_removed_energy(form: str, w: np.ndarray, data) -> None:
    rank = data.draw(st.integers(1, min(w.shape)))
    checkpoint, exact = one(w), double(w)
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
        assert plan["fc"].rank_before == plan["fc"].rank_after == min(m, n, inner)
        assert pruning.apply(checkpoint, plan).digest == checkpoint.digest


@given(plans())
def test_the_error_that_is_said_is_the_error_of_the_cut(made) -> None:
    checkpoint, analysis, plan = made
    pruned = pruning.apply(checkpoint, plan)
    for cut in plan.cuts:
        w = checkpoint[f"{cut.name}.weight"]
        exact, norm = double(w), np.linalg.norm(double(w))
        error = np.linalg.norm(exact - product(pruned, cut.name))
        said = pruning.error(analysis[cut.name], cut.rank_after, cut.values, cut.kept)
        assert error == pytest.approx(said * norm, abs=rounding(w) + 1e-6 * norm)


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
        tensor = checkpoint.tensors[f"{cut.name}.weight"]
        assert kinds == {tensor.dtype if cut.form == "whole" else tensor.written}
        if cut.form == "factored":
            (m, n), r = layer.shape, cut.rank_after
            assert [pruned[name].shape for name in layer.tensors] == [(r, n), (m, r)]


@forms
@few
@example(m=6, n=6, rank=3, seed=0)  # equal: dense
@example(m=3, n=6, rank=2, seed=0)
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
@given(st.lists(st.none() | st.integers(0, 15), min_size=2, max_size=3))
def test_careful_leaves_layers_whole_where_methods_disagree(ranks: list[int | None]) -> None:
    analysis = analyze(one(np.random.default_rng(0).normal(size=(40, 50))))
    layer = dataclasses.replace(analysis["fc"], ranks=dict(zip(COMPARED, ranks, strict=False)))
    assert layer.spikes == 0
    analysis = dataclasses.replace(analysis, layers=(layer,))
    known = [rank for rank in ranks if rank is not None]
    agree = len(known) == len(ranks) and min(known) >= STABLE * max(known)
    bold, wary = (pruning.plan(analysis, NoiseEdge(), careful=word)["fc"] for word in (False, True))
    assert (bold.rank_after, bold.stable, bold.reason) == (1, agree, "none_above")
    if agree:
        assert wary == bold
    else:
        assert (wary.form, wary.rank_after, wary.reason) == ("whole", 40, "unstable")
    assert pruning.plan(analysis, Off(), careful=True)["fc"].reason == "off"


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
    plan = pruning.plan(analyze(once), Off(), {"fc": less}, form="dense")
    dense = pruning.apply(once, plan)
    assert plan["fc"].parameters_after == dense["fc.weight"].size == w.size
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


def test_factors_made_before_are_not_made_again() -> None:
    checkpoint = one(np.diag([4.0, 3.0, 2.0]))
    plan = pruning.plan(analyze(checkpoint), Off(), {"fc": 2})
    other = {"fc": Factors.of(np.diag([7.0, 6.0, 5.0]))}
    assert pruning.apply(checkpoint, plan, other)["fc.weight"].max() == pytest.approx(7)


def test_a_pair_that_is_not_cut_stays_in_the_record() -> None:
    rng = np.random.default_rng(0)
    arrays = {f"{name}.weight": rng.normal(size=(20, 20)) for name in "abcd"}
    pairs = Checkpoint.of(arrays)
    for wanted, form, recorded in (
        ({"b": 3, "d": 3}, "factored", ["b", "d"]),
        ({"a": 3}, "factored", ["a", "b", "d"]),
        ({"b": 2}, "dense", ["a", "d"]),
    ):
        pairs = pruning.apply(pairs, pruning.plan(analyze(pairs), Off(), wanted, form=form))
        assert pairs.about["factored"] == recorded
        assert len(layers.find(pairs)[0]) == 4


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if not form.graph])
@few
@given(made=plans())
def test_a_pruned_file_read_again_is_the_same_network(name: str, made) -> None:
    checkpoint, _, plan = made
    pruned = pruning.apply(checkpoint, plan)
    if name == "safetensors" and any(it.dtype == "c16" for it in pruned.tensors.values()):
        with refused(BadOption, "write_dtype"):
            formats.write(pruned, name)
        return
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


@st.composite
def chosen(draw: st.DrawFn) -> tuple[np.ndarray, list[int], list[float] | None]:
    """A matrix, places of its singular values to keep, and perhaps new values for them."""
    w = draw(matrices)
    places = sorted(draw(st.sets(st.integers(0, min(w.shape) - 1), min_size=1)))
    top = float(np.abs(double(w)).max())
    shares = st.lists(st.floats(0, 1), min_size=len(places), max_size=len(places))
    values = draw(st.none() | shares)
    return w, places, values and [share * top for share in values]


def cut_so(w: np.ndarray, places: list[int], values: list[float] | None, form: str) -> PruningPlan:
    """The plan that keeps these directions of the one layer, with these values."""
    plan = pruning.plan(analyze(one(w)), Off(), {"fc": len(places)})
    new = dataclasses.replace(
        plan["fc"], form=form, kept=tuple(places), values=values and tuple(values)
    )
    return dataclasses.replace(plan, cuts=(new,))


@pytest.mark.parametrize("form", ["dense", "factored"])
@few
@given(made=chosen())
def test_a_cut_keeps_the_chosen_directions_with_the_chosen_values(form: str, made) -> None:
    w, places, values = made
    plan = cut_so(w, places, values, form)
    exact = double(w)
    left, old, right = np.linalg.svd(exact, full_matrices=False)
    real = [i for i, place in enumerate(places) if old[place] > 1e-4 * old[0]]
    if values is not None:  # a direction without a value has none to change
        assume(len(real) == len(places))
    found = product(pruning.apply(one(w), plan))
    wanted = [old[place] for place in places] if values is None else values
    singular = np.linalg.svd(found, compute_uv=False)[: len(places)]
    slack = rounding(w) + 1e-5 * max(old[0], *wanted)
    assert singular == pytest.approx(sorted(wanted, reverse=True), abs=slack)
    gaps = np.diff(old, append=0)
    if np.all(np.abs(gaps) > 0.01 * old[0]):  # else the directions are not unique
        assert found == pytest.approx((left[:, places] * wanted) @ right[places], abs=slack)


@pytest.mark.parametrize("form", ["dense", "factored"])
@few
@given(made=chosen())
def test_error_of_any_cut_is_what_it_removes_and_changes(form: str, made) -> None:
    w, places, values = made
    plan = cut_so(w, places, values, form)
    exact = double(w)
    old, norm = np.linalg.svd(exact, compute_uv=False), np.linalg.norm(exact)
    if values is not None:
        assume(all(old[place] > 1e-4 * old[0] for place in places))
    new = np.zeros(len(old))
    new[places] = old[places] if values is None else values
    error = np.linalg.norm(exact - product(pruning.apply(one(w), plan)))
    assert error == pytest.approx(np.linalg.norm(old - new), abs=rounding(w) + 1e-5 * norm)
    cut = plan["fc"]
    said = pruning.error(analyze(one(w))["fc"], cut.rank_after, cut.values, cut.kept)
    assert said == pytest.approx(np.linalg.norm(old - new) / norm, abs=1e-6)


@few
@given(chosen())
def test_a_plan_with_values_and_places_survives_json_and_is_a_key(made) -> None:
    plan = cut_so(*made, "dense")
    again = PruningPlan.from_json(plan.to_json())
    assert again == plan
    assert hash(again) == hash(plan)
    assert {plan: 1}[again] == 1


def test_a_plan_written_before_there_were_values_is_read() -> None:
    record = json.loads(PLAN)
    for cut in record["cuts"]:
        del cut["values"], cut["kept"]
    assert PruningPlan.from_json(json.dumps(record)) == PruningPlan.from_json(PLAN)


@pytest.mark.parametrize(
    "changed",
    [
        *({"values": values} for values in (3, "ab", [], [1.0], [1, 2, 3], [1, "2"], [1, True])),
        *({"values": [1, value]} for value in (-1, float("nan"), float("inf"), 10**400, None)),
        *({"kept": kept} for kept in (3, "01", [], [1], [0, 1, 2], [1, 0], [0, 0], [0, 5])),
        *({"kept": [0, place]} for place in (1.0, True, "1", None, -1)),
    ],
    ids=str,
)
def test_values_and_places_that_make_no_sense_are_refused(changed: dict[str, object]) -> None:
    record = json.loads(PLAN)
    record["cuts"][0] |= changed
    with refused(PlanRefused, "plan_unreadable"):
        PruningPlan.from_json(json.dumps(record))


def test_a_plan_says_which_directions_it_keeps_and_with_which_values() -> None:
    plan = cut_so(np.eye(5), [0, 1, 4], [0.7, 0.25, 0.125], "dense")
    assert "the first 2 and 1 of the others" in str(plan)
    assert "new values 0.7 to 0.125" in str(plan)
    assert "values" not in str(cut_so(np.eye(5), [0, 1, 4], None, "dense"))


def spiky(lowest: int, seed: int = 0) -> Checkpoint:
    """Noise of 60 × 120 with two spikes and its lowest values far below the lower edge."""
    left, values, right = np.linalg.svd(
        np.random.default_rng(seed).normal(size=(60, 120)), full_matrices=False
    )
    values[:2] = 60, 40
    values[60 - lowest :] *= 0.1
    return one((left * values) @ right)


@pytest.mark.parametrize("loss", ["frobenius", "operator", "nuclear"])
def test_shrunken_values_are_the_singular_values_of_what_is_stored(loss: str) -> None:
    checkpoint = spiky(0)
    analysis = analyze(checkpoint)
    plan = pruning.plan(analysis, Shrinkage(loss))
    cut = plan["fc"]
    assert (cut.rank_after, cut.reason, cut.form) == (2, "shrinkage", "factored")
    assert cut.values == Shrinkage(loss)(analysis["fc"]).values
    stored = np.linalg.svd(product(pruning.apply(checkpoint, plan)), compute_uv=False)
    assert stored[:2] == pytest.approx(cut.values)
    assert stored[2] < 1e-9
    assert PruningPlan.from_json(plan.to_json()) == plan


def test_two_sided_removes_the_bulk_and_nothing_else() -> None:
    checkpoint = spiky(3)
    analysis = analyze(checkpoint)
    plan = pruning.plan(analysis, TwoSided())
    assert plan["fc"].kept == (0, 1, 57, 58, 59)
    values = analysis["fc"].spectrum.values
    removed = np.linalg.norm(product(checkpoint) - product(pruning.apply(checkpoint, plan)))
    assert removed == pytest.approx(np.linalg.norm(values[2:57]))
    stored = np.linalg.svd(product(pruning.apply(checkpoint, plan)), compute_uv=False)
    assert stored[:5] == pytest.approx(values[[0, 1, 57, 58, 59]])


@pytest.mark.parametrize("lowest", [0, 1, 3])
def test_careful_leaves_layers_with_values_below_the_lower_edge_alone(lowest: int) -> None:
    analysis = analyze(spiky(lowest))
    assert analysis["fc"].below == lowest
    layer = dataclasses.replace(analysis["fc"], ranks={"bema": 2})
    analysis = dataclasses.replace(analysis, layers=(layer,))
    bold, wary = (pruning.plan(analysis, NoiseEdge(), careful=word)["fc"] for word in (False, True))
    assert (bold.rank_after, bold.reason) == (2, "noise_edge")
    if lowest > BELOW * 60:
        assert (wary.rank_after, wary.form, wary.reason) == (60, "whole", "below_edge")
    else:
        assert wary == bold
    assert pruning.plan(analysis, TwoSided(), careful=True)["fc"].reason == "two_sided"


def test_new_values_of_a_pair_of_full_rank_are_stored() -> None:
    # a factored layer has no more directions than its inner side, and may keep them all
    rng = np.random.default_rng(0)
    pair = cut(one(rng.normal(size=(12, 9))), 4, "factored")
    analysis = analyze(pair)
    layer = analysis["fc"]
    new = (4.0, 3.0, 2.0, 1.0)
    made = pruning._cut(layer, Keep(4, "shrinkage", new), "auto")
    assert (made.rank_before, made.rank_after, made.form, made.values) == (4, 4, "factored", new)
    longer = pruning._cut(layer, Keep(6, "shrinkage", (5.0, *new, 0.5)), "auto")
    assert longer.values == (5.0, 4.0, 3.0, 2.0)
    beyond = pruning._cut(layer, Keep(3, "two_sided", kept=(0, 2, 7)), "auto")
    assert (beyond.rank_after, beyond.kept) == (2, (0, 2))
    plan = PruningPlan(pair.digest, "shrinkage", "bema", (made,))
    stored = np.linalg.svd(product(pruning.apply(pair, plan)), compute_uv=False)
    assert stored[:4] == pytest.approx(new)
