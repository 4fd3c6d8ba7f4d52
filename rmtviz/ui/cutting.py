"""The parts of the Prune page: figures, table, slider, curve, trial, test, downloads."""

import streamlit as st

from rmtviz import figures, formats, peft, pruning, report, verdict
from rmtviz.analysis import Analysis
from rmtviz.evaluation import Evaluation, Paired
from rmtviz.pruning import LayerCut, PruningPlan, Size
from rmtviz.rules import RULES, Rule
from rmtviz.trial import Trial
from rmtviz.ui import heads, models, plans, running, session, trading, widgets
from rmtviz.ui.library import Model
from rmtviz.ui.running import Running
from rmtviz.words import say


def steps(digest: str) -> None:
    """Draw the ways back: the last step, or all ranks of one's own."""
    st.button(
        say("prune.undo"),
        icon=":material/undo:",
        on_click=plans.undo,
        args=(digest,),
        disabled=not plans.can_undo(digest),
    )
    st.button(
        say("prune.reset"),
        icon=":material/restart_alt:",
        on_click=plans.reset,
        args=(digest,),
        disabled=not plans.ranks(digest) and plans.adopted(digest) is None,
    )


def adopted(plan: PruningPlan) -> Rule:
    """Say that a plan was adopted whole; return the rule that stands behind it."""
    name = trading.title(trading.family(plan))
    how = plan.calibration
    with st.container(border=True, width="content"):
        st.markdown(say("prune.adopted", rule=name))
        if how:
            st.caption(say("prune.adopted_data", samples=how.samples, split=how.split))
    rule: Rule = widgets.standing(RULES, "rule")
    return rule


def weights_error(analysis: Analysis, layer: str, rank: int) -> None:
    """Draw what a cut removes of the weights, where accuracy cannot be drawn."""
    widgets.chart(
        figures.removed(analysis[layer], rank, session.mode()),
        "error-against-rank",
        say("prune.error_alt", layer=layer),
        lines("removed", analysis, layer, rank),
    )


def lines(picture: str, analysis: Analysis, layer: str, rank: int) -> str:
    """Return the lines of Python that make a picture of this page."""
    model = heads.seen(session.current())
    words = say(
        f"chart.code_{picture}",
        model=heads.code(model, say("chart.code_weights", source=repr(models.source(model)))),
        method=repr(analysis.method),
        layer=repr(layer),
        rank=rank,
    )
    return words.strip() + "\n"


def numbers(
    before: Size,
    after: Size,
    read: tuple[Evaluation, Evaluation] | None,
    paired: Paired | None,
) -> None:
    """Draw the figures side by side: accuracy, parameters, bytes, multiply–accumulates.

    A change of accuracy that may be none is grey.
    """
    with st.container(horizontal=True, key="numbers"):
        if read and paired:
            cut = read[1]
            st.metric(
                say("prune.accuracy", samples=cut.samples, unit=say(f"unit.{cut.unit}")),
                f"{cut.accuracy:.2%}",
                say("prune.points", points=100 * paired.difference),
                delta_color="off" if paired.low <= 0 <= paired.high else "normal",
                delta_description=say("prune.against"),
                border=True,
                help=say(
                    "prune.accuracy_help",
                    error=100 * cut.standard_error,
                    low=100 * paired.low,
                    high=100 * paired.high,
                ),
            )
            if cut.unit == "characters":
                _losses(*read)
        for key, old, new, unit in (
            ("parameters", before.parameters, after.parameters, 1),
            ("megabytes", before.bytes, after.bytes, 1e6),
            ("macs", before.macs, after.macs, 1),
        ):
            st.metric(
                say(f"prune.{key}"),
                say(f"prune.{key}_value", value=new / unit),
                say("prune.share", share=new / old - 1),
                delta_color="inverse",
                delta_description=say("prune.against"),
                border=True,
            )
    if after.placeless:
        st.caption(say("prune.places"))


def _losses(whole: Evaluation, cut: Evaluation) -> None:
    """Draw the loss of a network that reads text, and its perplexity."""
    st.metric(
        say("prune.loss", samples=cut.samples, unit=say(f"unit.{cut.unit}")),
        say("prune.loss_value", loss=cut.loss),
        say("prune.loss_change", change=cut.loss - whole.loss),
        delta_color="inverse",
        delta_description=say("prune.against"),
        border=True,
        help=say("prune.loss_help"),
    )
    st.metric(
        say("prune.perplexity"),
        f"{cut.perplexity:.2f}",
        say("prune.perplexity_change", change=cut.perplexity - whole.perplexity),
        delta_color="inverse",
        delta_description=say("prune.against"),
        border=True,
        help=say("prune.perplexity_help"),
    )


def table(analysis: Analysis, plan: PruningPlan) -> None:
    """Draw what happens to each layer; a click on a row opens the layer."""

    def opened() -> None:
        rows = st.session_state["cut_map"]["selection"]["rows"]
        if rows:
            st.session_state["layer"] = analysis.layers[rows[0]].name

    names = widgets.short_names([cut.name for cut in plan.cuts])
    st.dataframe(
        [
            {
                "name": names[cut.name],
                "rank": f"{cut.rank_before} → {cut.rank_after}",
                "kept": 100 * cut.parameters_after / cut.parameters_before,
                "form": say(f"prune.form.{cut.form}"),
                "error": _weights_error(analysis, plan, cut),
                "reason": say(f"reason.{cut.reason}"),
            }
            for cut in plan.cuts
        ],
        column_config={
            "name": st.column_config.TextColumn(
                say("prune.column.name"), width=widgets.name_width(names.values())
            ),
            "rank": st.column_config.TextColumn(say("prune.column.rank"), width=88),
            "kept": st.column_config.NumberColumn(
                say("prune.column.kept"), format="%.0f %%", width=64
            ),
            "form": st.column_config.TextColumn(say("prune.column.form"), width=76),
            "error": st.column_config.NumberColumn(
                say("prune.column.error"),
                help=say("prune.column.error_help"),
                format="%.0f %%",
                width=64,
            ),
            "reason": st.column_config.TextColumn(say("prune.column.reason")),
        },
        hide_index=True,
        key="cut_map",
        on_select=opened,
        selection_mode="single-row",
        row_height=40,
        alt=say("prune.table_alt"),
    )


def _weights_error(analysis: Analysis, plan: PruningPlan, cut: LayerCut) -> float | None:
    """Return the percentage of a layer's norm that goes; cut by data it is not worked out."""
    if plan.calibration and cut.form != "whole":
        return None
    return 100 * pruning.error(analysis[cut.name], cut.rank_after)


def slider(analysis: Analysis, plan: PruningPlan, layer: str) -> None:
    """Draw the slider of a layer's rank; moving it makes the rank the visitor's own."""
    st.session_state["rank"] = plan[layer].rank_after

    def moved() -> None:
        plans.set_rank(analysis.digest, layer, st.session_state["rank"])

    most = analysis[layer].spectrum.p
    st.slider(
        say("prune.rank"),
        1,
        max(most, 2),
        disabled=most < 2,
        key="rank",
        on_change=moved,
        help=say("prune.rank_help"),
    )


def curve(run: Running, analysis: Analysis, layer: str, plan: PruningPlan) -> None:
    """Draw accuracy against the layer's rank, and say the three zones in words."""
    rank = plan[layer].rank_after
    if guessing := verdict.of_guessing(running.whole(run)):
        st.info(guessing, icon=":material/casino:")
        weights_error(analysis, layer, rank)
        return
    with st.spinner(say("prune.curve_wait")):
        drawn = running.curve(run, layer, how=plan.calibration)
    spikes = analysis[layer].spikes
    widgets.chart(
        figures.tradeoff(drawn, rank, spikes, session.mode()),
        "accuracy-against-rank",
        say("prune.curve_alt", layer=layer),
        lines("tradeoff", analysis, layer, rank),
    )
    st.markdown(verdict.of_zones(analysis[layer], drawn))
    if verdict.edge_is_weak(analysis[layer]):
        st.markdown(say("prune.trust_curve"))


def trial(analysis: Analysis, plan: PruningPlan, layer: str) -> PruningPlan:
    """Draw the trial of one layer, cut alone, with keep and roll back; return its plan."""
    rank = plan[layer].rank_after
    st.markdown(say("prune.trial_help", layer=widgets.plain(layer), rank=rank))
    keep, back = st.columns(2)
    keep.button(
        say("prune.keep"),
        icon=":material/check:",
        width="stretch",
        on_click=_decide,
        args=(analysis.digest, layer, rank),
    )
    back.button(
        say("prune.back"),
        icon=":material/undo:",
        width="stretch",
        on_click=_decide,
        args=(analysis.digest, layer, analysis[layer].spectrum.p),
    )
    return plans.alone(analysis, layer, rank)


def _decide(digest: str, layer: str, rank: int) -> None:
    plans.set_rank(digest, layer, rank)
    st.session_state["trial"] = False


def test(run: Running, plan: PruningPlan) -> Trial | None:
    """Draw the deliberate look at the test images, once it was asked for."""
    asked = st.session_state.setdefault("tested", set())
    token = (plan.to_json(), run.choice)
    if st.button(say("prune.test"), icon=":material/fact_check:", type="primary"):
        asked.add(token)
    if token not in asked:
        counts = {split: len(run.samples(split)) for split in ("selection", "test")}
        words = say(
            "prune.test_help_foreign" if run.foreign else "prune.test_help",
            samples=counts["test"],
            unit=say(f"unit.{run.dataset.unit}"),
            selection=counts["selection"],
        )
        st.caption(words)
        return None
    with st.spinner(say("prune.test_wait")):
        found = running.tested(run, plan)
    st.markdown(f"**{verdict.of_test(found.before, found.after, found.paired)}**")
    st.markdown(verdict.of_latency(found.latency["before"], found.latency["after"]))
    if found.controls:
        st.markdown(say("prune.controls"))
        with st.container(horizontal=True):
            for name, each in found.controls.items():
                st.metric(say(f"prune.control.{name}"), f"{each.accuracy:.1%}", border=True)
    return found


def take_away(
    model: Model,
    run: Running | None,
    analysis: Analysis,
    plan: PruningPlan,
    sizes: tuple[Size, Size],
    read: tuple[Evaluation, Evaluation] | None,
    tested: Trial | None,
) -> None:
    """Draw the downloads: the pruned weights, the plan, and a page for those who decide."""
    names = formats.offered(model.checkpoint)
    usual = model.checkpoint.format if model.checkpoint.format in names else names[0]
    chosen = st.selectbox(
        say("prune.format"),
        names,
        index=names.index(usual),
        format_func=lambda name: say(f"prune.format_name.{name}"),
    )
    if model.checkpoint.format in formats.READ.keys() - formats.FORMATS.keys():
        title = formats.READ[model.checkpoint.format].title
        st.caption(say("prune.format_only_read", title=title))
    stem = model.spectra.model.source.rpartition(".")[0] or model.spectra.model.source
    st.download_button(
        say("prune.download"),
        lambda: formats.write(running.recorded(model, plan, run), chosen),
        f"{stem}-pruned{formats.FORMATS[chosen].suffix}",
        icon=":material/download:",
        on_click="ignore",
        width="stretch",
    )
    if settings := peft.kept(model.checkpoint):
        st.download_button(
            say("prune.download_adapter"),
            lambda: peft.text(peft.after(running.recorded(model, plan, run), settings)),
            peft.SETTINGS,
            "application/json",
            icon=":material/tune:",
            help=say("prune.download_adapter_help"),
            on_click="ignore",
            width="stretch",
        )
    st.download_button(
        say("prune.download_plan"),
        plan.to_json(),
        f"{stem}-plan.json",
        icon=":material/data_object:",
        on_click="ignore",
        width="stretch",
    )
    page = report.cut_report(analysis, plan, sizes, read, tested)
    st.download_button(
        say("prune.download_report"),
        page,
        f"{stem}-summary.html",
        "text/html",
        icon=":material/description:",
        on_click="ignore",
        width="stretch",
    )
