"""Explore: each layer's spectrum, the law over it, what can't be told from random."""

import numpy as np
import streamlit as st

from rmtviz import verdict
from rmtviz.analysis import Analysis, LayerAnalysis
from rmtviz.fits import METHODS
from rmtviz.ui import exploring, heads, links, measures, models, session, spectrum_chart, widgets
from rmtviz.ui.library import VIEWS, Model
from rmtviz.words import say


def table(analysis: Analysis) -> None:
    """Draw the map of the network: a row a layer; a click on a row opens the layer."""

    def opened() -> None:
        rows = st.session_state["layer_map"]["selection"]["rows"]
        if rows:
            st.session_state["layer"] = analysis.layers[rows[0]].name

    names = widgets.short_names([layer.name for layer in analysis])
    columns = {
        "name": st.column_config.TextColumn(
            say("explore.column.layer"), width=widgets.name_width(names.values())
        ),
        "spectrum": st.column_config.BarChartColumn(
            say("explore.column.spectrum"),
            help=say("explore.column.spectrum_help"),
            color="gray",
            width=100,
        ),
        "random": st.column_config.TextColumn(
            say("explore.column.random"),
            help=say("explore.column.random_help"),
            alignment="right",
            width=96,
        ),
        "ranks": st.column_config.TextColumn(
            say("explore.column.ranks"), help=say("explore.column.ranks_help"), width=92
        ),
        "law": st.column_config.TextColumn(
            say("explore.column.law"), help=say("explore.column.law_help"), width=80
        ),
        "shape": st.column_config.TextColumn(say("explore.column.shape"), width=88),
    }
    st.dataframe(
        [row(layer) | {"name": names[layer.name]} for layer in analysis],
        column_config=columns,
        hide_index=True,
        key="layer_map",
        on_select=opened,
        selection_mode="single-row",
        row_height=44,
        alt=say("explore.map_alt"),
    )


def row(layer: LayerAnalysis) -> dict[str, object]:
    """Return a layer's row: its name, shape, a small spectrum, and its verdict in four words."""
    share = layer.bulk_directions
    values = layer.shown.values
    reach = 1.3 * (layer.cut or values[0] or 1.0)
    counts, _ = np.histogram(np.minimum(values, reach), 24, (0, reach))
    return {
        "name": layer.name,
        "spectrum": counts.tolist(),
        "random": say("explore.none") if share is None else f"{share:.0%}",
        "ranks": verdict.ranks(layer) or say("explore.none"),
        "law": say(f"explore.law.{layer.law}" if layer.law else f"explore.law.{layer.status}"),
        "shape": "{} × {}".format(*layer.layer.shape),
    }


def formula(layer: LayerAnalysis) -> None:
    """Write the law's edge with this layer's own numbers."""
    k, bulk = layer.beside, layer.bulk
    p, n = layer.shown.p - k, layer.shown.n - k
    ratio_key = "explore.formula_ratio_beside" if k else "explore.formula_ratio"
    edge_key = "explore.formula_edge_beside" if k else "explore.formula_edge"
    ratio, edge, eigenvalue, count = st.columns([3, 4, 3, 2], vertical_alignment="center")
    ratio.latex(say(ratio_key, p=p, n=n, c=p / n))
    if bulk is None or layer.edges is None:
        edge.markdown(say("explore.formula_none"))
        return
    edge.latex(say(edge_key, sigma=bulk.sigma, p=p, n=n, edge=layer.edges[1]))
    eigenvalue.latex(
        say(
            "explore.formula_eigenvalue",
            edge=layer.edges[1],
            n=layer.shown.n,
            eigenvalue=bulk.edges[1],
        )
    )
    count.latex(say("explore.formula_cut", cut=layer.cut, spikes=layer.spikes))
    kind = "real" if layer.shown.beta == 1 else "complex"
    st.caption(say("explore.formula_why", kind=say(f"explore.formula_{kind}")))


def words(layer: LayerAnalysis) -> None:
    """Say in words what the layer's spectrum means, and how good the fit is."""
    with st.container(border=True):
        st.markdown(say("explore.verdict_head", layer=widgets.plain(layer.name)))
        st.markdown(f"**{verdict.of_layer(layer)}**")
        for sentence in (
            verdict.of_range(layer),
            verdict.of_fit(layer),
            *verdict.of_noise(layer),
        ):
            if sentence:
                st.markdown(sentence)
        if layer.below:
            st.markdown(say("explore.below", below=layer.below))


def numbers(layer: LayerAnalysis) -> None:
    """Write the formulas with the layer's own numbers."""
    with st.container(border=True):
        st.markdown(say("explore.formula_head"))
        formula(layer)


def skipped(analysis: Analysis) -> None:
    """List every tensor that was not analysed, with its reason."""
    if not analysis.skipped:
        return
    title = say("explore.skipped", count=len(analysis.skipped))
    with st.expander(title, expanded=not analysis.layers):
        st.dataframe(
            [
                {
                    say("explore.column.tensor"): item.name,
                    say("explore.column.shape"): " × ".join(map(str, item.shape)),
                    say("explore.column.dtype"): item.dtype,
                    say("explore.column.reason"): item.why,
                }
                for item in analysis.skipped
            ],
            hide_index=True,
            alt=say("explore.skipped_alt"),
        )


def views(model: Model) -> str:
    """Draw the choice of what of the model is looked at, where its beginning is known."""
    if not model.has_initial:
        return VIEWS[0]
    return links.choice(
        st.segmented_control,
        say("explore.view"),
        VIEWS,
        "view",
        format_func=lambda name: say(f"explore.view_{name}"),
        required=True,
        wrap=True,
        help=say("explore.view_help"),
    )


def drawing(layer: LayerAnalysis) -> tuple[str, str]:
    """Draw the choice of picture and axis."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        picture = links.choice(
            st.selectbox,
            say("chart.picture"),
            [name for name in spectrum_chart.PICTURES if layer.bulk or name != "quantiles"],
            "picture",
            format_func=lambda name: say(f"chart.picture_{name}"),
        )
        scale = links.choice(
            st.selectbox,
            say("chart.scale"),
            spectrum_chart.SCALES,
            "scale",
            format_func=lambda name: say(f"chart.scale_{name}"),
        )
    return picture, scale


def reading(layer: LayerAnalysis, drags: bool) -> None:
    """Say how the picture is read."""
    if not layer.bulk:
        st.caption(say("chart.read_unfitted" if drags else "chart.read_unfitted_still"))
    else:
        st.caption(say("chart.read" if drags else "chart.read_still"))
    if layer.scaled:
        st.caption(say("chart.read_scaled"))


model = heads.seen(session.current())
st.title(say("explore.title"))
st.caption(models.describe(session.current()))
with st.container(horizontal=True, vertical_alignment="bottom"):
    method = widgets.strategy(METHODS, "method")
    view = views(model)
    analysis = model.analysed(method, view)
    layer = widgets.layer(analysis) if analysis.layers else None
key, by_heads = model.key, heads.note(model)
del model  # callbacks hold the names of this page and outlive a closed tab; a model must not
st.subheader(verdict.of_model(analysis), anchor=False)
if by_heads:
    st.caption(by_heads)
if layer:
    chart_side, map_side = st.columns([11, 9], gap="medium")
    with chart_side:
        place = st.container()
        picture, scale = drawing(layer)
        with place:
            exploring.chart(key, method, view, layer.name, picture, scale)
        reading(layer, exploring.drags(view, picture))
    with map_side:
        table(analysis)
        words(layer)
    numbers(layer)
    measures.draw(heads.seen(session.current()), layer.name, method, view)
skipped(analysis)
if layer:
    exploring.measure(key, method, view, layer.name)
