"""The visitor's plan for the current model: the rule's with ranks of their own, or a whole one.

The rule and its knobs live in their widgets, the ranks of one's own and a plan that was adopted
whole here, by digest. Each change is a step that can be taken back.
"""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from rmtviz import pruning
from rmtviz.analysis import Analysis
from rmtviz.pruning import PruningPlan
from rmtviz.rules import Off, Rule
from rmtviz.ui import heads

Step = tuple[dict[str, Any], dict[str, int], PruningPlan | None]

STEPS = 50
"""So many steps can be taken back."""


def plan(analysis: Analysis, rule: Rule) -> PruningPlan:
    """Return the plan as it stands, and remember it as a step that can be taken back."""
    made = current(analysis, rule)
    _remember(analysis.digest)
    return made


def current(analysis: Analysis, rule: Rule) -> PruningPlan:
    """Return the plan: the one that was adopted whole, else the rule's with own ranks."""
    names = [layer.name for layer in analysis]
    return adopted(analysis.digest, names) or standing(analysis, rule)


def adopted(digest: str, names: Sequence[str] | None = None) -> PruningPlan | None:
    """Return the plan that was adopted whole, if any; of layers of these names, if they are given.

    A plan for whole projections is none where attention is looked at head by head.
    """
    kept: PruningPlan | None = st.session_state.get("own_plans", {}).get(digest)
    fits = kept is None or names is None or {cut.name for cut in kept.cuts} <= set(names)
    return kept if fits else None


def adopt(digest: str, plan: PruningPlan | None) -> None:
    """Adopt a plan whole, in place of the rule and all own ranks, or give it up.

    Projections are looked at whole where it stands.
    """
    if plan:
        st.session_state[heads.NEXT] = heads.WAYS[0]
    others = {key: x for key, x in st.session_state.get("own_plans", {}).items() if key != digest}
    st.session_state["own_plans"] = others | ({digest: plan} if plan else {})


def standing(analysis: Analysis, rule: Rule) -> PruningPlan:
    """Return the plan: the rule's, with the visitor's own ranks for layers that there are."""
    return pruning.plan(analysis, rule, own(analysis))


def own(analysis: Analysis) -> dict[str, int]:
    """Return the visitor's own ranks of the layers that there are."""
    mine, names = ranks(analysis.digest), [layer.name for layer in analysis]
    return {name: mine[name] for name in names if name in mine}


def alone(analysis: Analysis, layer: str, rank: int) -> PruningPlan:
    """Return the plan that cuts one layer and leaves all others whole."""
    return pruning.plan(analysis, Off(), {layer: rank})


def ranks(digest: str) -> dict[str, int]:
    """Return the visitor's own ranks, by layer."""
    return dict(st.session_state.get("own_ranks", {}).get(digest, {}))


def set_rank(digest: str, layer: str, rank: int | None) -> None:
    """Set a rank of one's own, or give the layer back to the rule; a whole plan is given up."""
    adopt(digest, None)
    mine = ranks(digest)
    mine.pop(layer, None)
    if rank is not None:
        mine[layer] = rank
    st.session_state["own_ranks"] = {**st.session_state.get("own_ranks", {}), digest: mine}


def reset(digest: str) -> None:
    """Give all layers back to the rule."""
    adopt(digest, None)
    st.session_state["own_ranks"] = {**st.session_state.get("own_ranks", {}), digest: {}}


def can_undo(digest: str) -> bool:
    """Return whether there is a step to take back."""
    return len(_steps(digest)) > 1


def undo(digest: str) -> None:
    """Take the last step back: the rule, its knobs and the ranks of one's own."""
    steps = _steps(digest)
    if len(steps) > 1:
        steps.pop()
        widgets, mine, whole = steps[-1]
        adopt(digest, whole)
        st.session_state.update(widgets)
        st.session_state["own_ranks"] = {**st.session_state.get("own_ranks", {}), digest: mine}


def _remember(digest: str) -> None:
    step = (_widgets(), ranks(digest), adopted(digest))
    steps = _steps(digest)
    if not steps or steps[-1] != step:
        steps.append(step)
        del steps[:-STEPS]


def _steps(digest: str) -> list[Step]:
    kept: dict[str, list[Step]]
    kept = st.session_state.setdefault("plan_steps", {})
    return kept.setdefault(digest, [])


def _widgets() -> dict[str, Any]:
    """Return the state of the widgets that make the plan: rule, method, and their knobs."""
    chosen = {key: st.session_state.get(key) for key in ("rule", "method")}
    owners = tuple(f"knob_{name}_" for name in chosen.values())
    return chosen | {
        str(key): value for key, value in st.session_state.items() if str(key).startswith(owners)
    }
