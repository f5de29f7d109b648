"""Pictures: horizontal bars on a logarithmic scale, one line of text beside each."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib

_HIGHLIGHT, _PLAIN = "#1b7f5c", "#9aa5b1"


def bar_chart(path: Path, title: str, names: Sequence[str], values: Sequence[float], remarks: Sequence[str]) -> Path:
    """Draws bars from top to bottom, the shortest highlighted; returns `path`."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 0.6 * len(names) + 1.4), layout="constrained")
    shortest = min(values)
    bars = axes.barh(names, values, color=[_HIGHLIGHT if value == shortest else _PLAIN for value in values])
    axes.bar_label(bars, labels=list(remarks), padding=6)
    axes.set_xscale("log")
    axes.set_xlim(shortest / 3, max(values) * 30)
    axes.invert_yaxis()
    axes.set_title(title, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return path
