"""Plots of the learning rates that a submission exposes, by tensor."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from evaluate.score.results import Result
from evaluate.score.standing import pair_names
from evaluate.show.plots.style import COLOURS, PANEL, middle, panels

#: More tensors than this are drawn as a heat map.
LINES_AT_MOST = 12
LINE_STYLES = ("-", "--")
#: Inches of a tensor's row in a heat map, and the largest number of tensors with labels.
ROW, LABELS_AT_MOST = 0.085, 100
#: Percentiles that the colours span, so that one outlier does not use them up.
SPAN = (1, 99)


def rates_figure(results: Sequence[Result], name: str) -> Figure:
    """Plot the learning rate of each tensor against the step, one panel per pair.

    Few tensors are lines: the middle run is thick, and repeats with the same number of tensors are
    thin. Many tensors are a heat map of the middle run.
    """
    pairs = pair_names(results)
    tensors = max(map(_tensors, results))
    rows = min(tensors, LABELS_AT_MOST) if tensors > LINES_AT_MOST else 0
    figure, axes = panels(len(pairs), max(PANEL[1], 0.8 + ROW * rows))
    for panel, pair in zip(axes, pairs, strict=True):
        runs = [result for result in results if result.pair == pair]
        first = middle(runs)
        if _tensors(first) > LINES_AT_MOST:
            _draw_heat_map(figure, panel, first)
        else:
            for run in runs:
                if _tensors(run) == _tensors(first):
                    _draw_lines(panel, run, is_thick=run is first)
        panel.set(title=pair, xlabel="step")
    figure.suptitle(f"Learning rates of {name}", fontsize=12)
    return figure


def _tensors(run: Result) -> int:
    return len(run.learning_rates[0][1])


def _table(run: Result) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps, and the rates by step and tensor."""
    steps = np.array([step for step, _ in run.learning_rates])
    return steps, np.array([row for _, row in run.learning_rates], dtype=float)


def _shapes(run: Result) -> list[str]:
    return ["x".join(map(str, shape)) for shape in run.tensor_shapes]


def _draw_lines(panel: Axes, run: Result, is_thick: bool) -> None:
    steps, rates = _table(run)
    shapes = _shapes(run)
    style: dict[str, Any] = {"lw": 1.5} if is_thick else {"lw": 0.6, "alpha": 0.5}
    for tensor in range(rates.shape[1]):
        shape = shapes[tensor] if tensor < len(shapes) else ""
        panel.plot(
            steps,
            rates[:, tensor],
            color=COLOURS[tensor % len(COLOURS)],
            ls=LINE_STYLES[tensor // len(COLOURS)],
            marker="o" if len(steps) < 3 else None,  # one point makes no visible line
            ms=3,
            label=f"{tensor}: {shape}" if is_thick else None,
            **style,
        )
    panel.set_yscale("log")
    panel.set_ylabel("learning rate")
    if is_thick:
        panel.legend(
            title="tensor: shape", fontsize=6, title_fontsize=7, ncols=1, loc="center left",
            bbox_to_anchor=(1.0, 0.5), frameon=False,
        )  # fmt: skip


def _draw_heat_map(figure: Figure, panel: Axes, run: Result) -> None:
    steps, rates = _table(run)
    positive = rates[np.isfinite(rates) & (rates > 0)]
    low, high = np.percentile(positive, SPAN) if positive.size else (1e-4, 1e-2)
    norm = LogNorm(low, high if high > low else 1.01 * low)
    count = rates.shape[1]
    mesh = panel.pcolormesh(
        steps, np.arange(count), rates.T, norm=norm, cmap="cividis", shading="nearest",
        rasterized=True,  # otherwise an SVG has a path per cell, thousands of them
    )  # fmt: skip
    panel.grid(False)
    panel.set_ylabel("tensor, from the input")
    shapes = _shapes(run)
    if count <= LABELS_AT_MOST and len(shapes) == count:
        marks = [f"{tensor}: {shape}" for tensor, shape in enumerate(shapes)]
        panel.set_yticks(range(count), marks, fontsize=4.5)
    else:
        panel.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    panel.invert_yaxis()
    # Inset: the layout would push a normal colour bar as far out as the widest legend.
    place = panel.inset_axes((1.03, 0, 0.04, 1))
    figure.colorbar(mesh, cax=place, label="learning rate", extend="both")
