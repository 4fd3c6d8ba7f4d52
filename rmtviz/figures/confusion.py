"""The picture of a confusion matrix: which class was taken for which, mistakes shaded."""

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from rmtviz.figures import base
from rmtviz.tokens import fade
from rmtviz.words import say

CLASSES = 20
"""More classes than these are no longer legible."""


def confusion(counts: NDArray[np.int64], mode: str = "light") -> go.Figure:
    """Return counts (classes, classes) as a grid: rows are labels, columns answers.

    Mistakes are shaded by their number; the diagonal, which is right, is not.
    """
    colours = base.palette(mode)
    wrong = counts.astype(np.float64)
    np.fill_diagonal(wrong, np.nan)
    names = [str(each) for each in range(len(counts))]
    axis = {"tickvals": list(range(len(counts))), "ticktext": names, "showgrid": False}
    figure = go.Figure(
        layout=base.canvas(
            colours,
            height=380,
            xaxis=base.axis(colours, say("figure.axis_answer"), **axis),
            yaxis=base.axis(colours, say("figure.axis_label"), autorange="reversed", **axis),
        )
    )
    figure.add_heatmap(
        z=wrong,
        text=counts,
        texttemplate="%{text}",
        textfont={"size": 11, "color": colours.ink},
        colorscale=[[0, fade(colours.bad, 0.0)], [1, fade(colours.bad, 0.55)]],
        zmin=0,
        showscale=False,
        hovertemplate=say("figure.hover_confusion") + "<extra></extra>",
    )
    return figure
