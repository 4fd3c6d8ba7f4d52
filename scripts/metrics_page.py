"""Write docs/metrics.md, the reference page of all metrics, from their table."""

from pathlib import Path

from rmtviz.metrics import METRICS

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"

HEAD = """\
# Metrics

<!-- Made by scripts/metrics_page.py from the table in rmtviz/metrics.py; do not edit by hand. -->

`rmtviz.metrics.measure` gives each for a layer, for its shuffled copy (the same entries,
permuted) and for its untrained copy (its weights before training, or a fresh initialisation).
A number that is no different from those of the copies says nothing about training.

Throughout, $s_1 \\ge \\dots \\ge s_p$ are the singular values of a layer whose sides are
$p \\le n$, $\\lambda_i = s_i^2 / n$ the eigenvalues, $\\lambda_+$ the fitted edge of the noise
and $k$ the number of spikes above it.
"""


def page() -> str:
    """Return the page in Markdown."""
    parts = [HEAD]
    for name, metric in METRICS.items():
        parts.append(
            f"## {metric.title}\n\n`{name}`\n\n$$\n{metric.formula}\n$$\n\n{metric.reading}\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
