"""How a network is run and judged on a page, and what is asked and shown where it can't be."""

import streamlit as st

from rmtviz import layers, networks
from rmtviz.analysis import Analysis
from rmtviz.errors import CannotRun, DataRefused, ExtraMissing, OrderUnknown
from rmtviz.pruning import PruningPlan
from rmtviz.ui import cutting, data, links, running, session, widgets
from rmtviz.ui.library import Model
from rmtviz.ui.running import Running
from rmtviz.words import say

Reason = CannotRun | DataRefused | ExtraMissing

EXPORTED = (
    *("unused_tensors", "no_plain_cnn", "no_chain", "no_layers"),
    *("layout_none", "layout_many", "layout_poor", "layout_blind"),
)
"""The refusals of networks that run when an ONNX file says how."""


def run_or_reason(model: Model) -> Running | Reason:
    """Return the model as a network that runs, or why it does not."""
    try:
        with st.spinner(say("prune.run_wait")):
            run = running.running(model, *data.how(model))
            running.whole(run)
    except (CannotRun, DataRefused, ExtraMissing) as reason:
        return reason
    if not links.bare():
        how_it_runs(run)
    return run


def no_accuracy(
    reason: Reason, model: Model, analysis: Analysis, plan: PruningPlan, layer: str
) -> None:
    """Say why no accuracy can be shown; what a cut moves and removes stands in its place."""
    widgets.refusal(reason, st.info, ":material/info:")
    if isinstance(reason, OrderUnknown) or reason.key == "order_shapes":
        _ask_order(analysis)
    elif reason.key == "perhaps_factored":
        _ask_pairs()
    elif reason.key == "layout_alike":
        _ask_layout(analysis, str(reason.values["layouts"]).split())
    elif isinstance(reason, DataRefused):
        _outputs_moved(model, plan)
    else:
        _never_runs(reason)
    cutting.weights_error(analysis, layer, plan[layer].rank_after)


def _ask_order(analysis: Analysis) -> None:
    """Ask in which order the layers follow; the answer holds for this network."""
    names = [layer.name for layer in analysis]
    chosen = st.multiselect(
        say("prune.order"),
        names,
        placeholder=say("choice.empty"),
        help=say("prune.order_help"),
    )
    orders = st.session_state.setdefault("orders", {})
    if len(chosen) == len(names) and orders.get(analysis.digest) != tuple(chosen):
        orders[analysis.digest] = tuple(chosen)
        st.rerun()


def _ask_layout(analysis: Analysis, layouts: list[str]) -> None:
    """Ask which layout a convolutional network has; the answer holds for this network."""
    chosen = st.selectbox(
        say("prune.layout_ask"),
        layouts,
        index=None,
        placeholder=say("choice.empty"),
        help=say("prune.run_layout_help"),
    )
    if chosen is not None:
        st.session_state.setdefault("layouts", {})[analysis.digest] = chosen
        st.rerun()


def _outputs_moved(model: Model, plan: PruningPlan) -> None:
    """Draw how far the plan moves the outputs, where no data say what that means."""
    try:
        choice, error, supplied = running.moved(model, plan, data.way("activation"), data.own())
    except (CannotRun, DataRefused, ExtraMissing) as blind:
        widgets.refusal(blind, st.info, ":material/info:")
        _never_runs(blind)
        return
    st.markdown(f"**{say('prune.unknown')}** {say('prune.unknown_help')}")
    words = {"activation": choice.activation}
    with st.container(horizontal=True):
        st.metric(
            say("prune.output_error", samples=1_000),
            f"{error:.1%}",
            border=True,
            help=say("prune.output_error_help", **words),
        )
        if supplied is not None:
            samples = min(running.SUPPLIED, len(own.test_labels) if (own := data.own()) else 0)
            st.metric(
                say("prune.output_error_own", samples=samples), f"{supplied:.1%}", border=True
            )


def _never_runs(reason: Reason) -> None:
    """Say that nothing runs, and for a program that the weights do not tell, how to export it."""
    st.markdown(f"**{say('prune.unknown')}** {say('prune.unknown_still')}")
    if reason.key in EXPORTED:
        st.markdown(say("prune.export_help"))
        st.code(say("prune.export_code"), language="python")


def _ask_pairs() -> None:
    """Ask whether pairs of narrow layers are one layer each; the answer makes a new model."""
    one, two = st.columns(2)
    model = session.current()
    pairs = layers.suspected_pairs(model.checkpoint)
    factored: tuple[str, ...]
    for key, place, factored in (("pairs_one", one, pairs), ("pairs_two", two, ())):
        if place.button(say(f"prune.{key}"), width="stretch"):
            session.choose(
                session.library().add(model.checkpoint.with_about(factored=list(factored)))
            )
            st.rerun()


def how_it_runs(run: Running) -> None:
    """Say with which activation and inputs the network runs, and let them be changed."""
    if isinstance(run.choice, networks.Transformer):
        with st.popover(say("prune.runs_text"), icon=":material/memory:"):
            st.markdown(say("prune.runs_text_help"))
            st.caption(data.entering(run))
        return
    ways = ["inputs"]
    inputs = say(f"prune.inputs.{run.choice.inputs}")
    if isinstance(run.choice, networks.ONNX):
        label = say("prune.runs_graph", inputs=inputs)
    else:
        ways = ["activation", "inputs"]
        activation = say(f"prune.activation.{run.choice.activation}")
        label = say("prune.runs", activation=activation, inputs=inputs)
    with st.popover(label, icon=":material/memory:"):
        st.markdown(say("prune.runs_help"))
        st.caption(data.entering(run))
        if isinstance(run.choice, networks.CNN):
            st.markdown(
                f"{say('prune.run_layout')}: `{run.choice.layout}`",
                help=say("prune.run_layout_help"),
            )
        for name in ways:
            data.choose_way(name)
