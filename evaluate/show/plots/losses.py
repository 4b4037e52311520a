"""Plots of the loss against time or steps, with all repeats."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from evaluate.score.results import Result
from evaluate.score.standing import baseline_name, labels, pair_names, runs_of
from evaluate.show.plots.style import (
    BASELINE_COLOUR,
    GREY,
    GREY_KEY,
    legend,
    method_colours,
    middle,
    panels,
    plain_ticks,
)

X_LABELS = {"seconds": "time on the clock (s)", "steps": "step"}
TARGET_STYLE: dict[str, Any] = {"color": "0.35", "lw": 1.2, "ls": (0, (4, 2))}
TRAINING_STYLE: dict[str, Any] = {"lw": 0.8, "alpha": 0.45}
REPEAT_STYLE: dict[str, Any] = {"lw": 0.8, "alpha": 0.55}
STAR_STYLE: dict[str, Any] = {"marker": "*", "ms": 13, "mec": "white", "mew": 0.8}
#: Legend entries shared by all submissions.
_KEY = {
    "training loss": Line2D([], [], color="black", **TRAINING_STYLE),
    "target": Line2D([], [], **TARGET_STYLE),
    "target reached": Line2D([], [], color="black", ls="", **STAR_STYLE),
}


def loss_figure(group: Sequence[Result], axis: str) -> Figure:
    """Plot the loss against `axis` ("seconds" or "steps"), one panel per pair, with the target.

    Each method's middle run is thick, with marks at tests and a star where it reached the target;
    other repeats are thin. Training losses are a running median of the middle run.
    """
    names, colours = labels(group), method_colours(group)
    pairs = pair_names(group)
    figure, axes = panels(len(pairs))
    entries = {}
    for panel, pair in zip(axes, pairs, strict=True):
        framed = []
        for sha256, colour in reversed(colours.items()):  # draw the best one last, on top
            if runs := runs_of(group, pair, None, sha256):
                line = _draw_method(panel, runs, axis, colour)
                if colour != GREY:
                    entries[names[sha256]] = line
                    framed += runs
        if runs := runs_of(group, pair, "baseline"):
            line = _draw_method(panel, runs, axis, BASELINE_COLOUR)
            entries[baseline_name(group)] = line
            framed += runs
        target = next(result.target for result in group if result.pair == pair)
        panel.axhline(target, **TARGET_STYLE)
        _frame(panel, framed, target, axis)
        panel.set(title=f"{pair}: target {target:g}", xlabel=X_LABELS[axis], ylabel="loss")
    others = GREY_KEY if GREY in colours.values() else {}
    legend(figure, dict(reversed(entries.items())) | others | _KEY)
    return figure


def _draw_method(panel: Axes, runs: Sequence[Result], axis: str, colour: str) -> Line2D:
    first = middle(runs)
    is_grey = colour == GREY
    if not is_grey:
        x, loss = _curve(first.train_curve, axis)
        panel.plot(x, _running_median(loss), color=colour, **TRAINING_STYLE)
    for run in runs:
        is_thin = is_grey or run is not first
        x, loss = _curve(run.test_curve, axis)
        style = REPEAT_STYLE if is_thin else _thick_style(loss)
        (line,) = panel.plot(x, loss, color=colour, zorder=1 if is_grey else 2, **style)
        if run.reached:
            size = {"ms": 5, "mew": 0} if is_thin else {}
            panel.plot(x[-1:], loss[-1:], color=colour, zorder=5, **STAR_STYLE | size)
        if run is first:
            thick = line
    return thick


def _thick_style(loss: np.ndarray) -> dict:
    # Space marks evenly along the curve, or mark every point if the curve has no length.
    every = 0.05 if np.isfinite(loss).sum() > 1 else None
    return {"lw": 1.8, "marker": "o", "ms": 3, "markevery": every}


def _frame(panel: Axes, runs: Sequence[Result], target: float, axis: str) -> None:
    """Limit the axes: losses from the first one to a little below the target, despite divergence.

    Cut runs at twice the length of the longest run that reached the target.
    """
    trained = [_curve(run.train_curve, axis) for run in runs]
    tested = [_curve(run.test_curve, axis) for run in runs]
    curves = trained + tested
    seen = np.concatenate([loss[np.isfinite(loss)] for _, loss in curves])
    # Use training losses: a first test may come after the run has diverged.
    starts = [loss[0] for _, loss in trained if len(loss) and np.isfinite(loss[0])]
    panel.set_yscale("log")
    last = [curve for curve, run in zip(tested, runs, strict=True) if run.reached]
    ends = [loss[-1] for _, loss in last]
    lowest = min([0.9 * target, *(0.9 * end for end in ends), *seen[seen > 0.5 * target]])
    panel.set_ylim(lowest, 1.1 * max([*starts, 1.5 * target]))
    reached = [x[-1] for x, _ in last]
    longest = max((x[-1] for x, _ in curves if len(x)), default=1.0)
    panel.set_xlim(0, 1.05 * (min(longest, 2 * max(reached)) if reached else longest))
    plain_ticks(panel)


def _curve(curve: dict[str, list], axis: str) -> tuple[np.ndarray, np.ndarray]:
    # Non-finite losses are null in the file; they become NaN.
    return np.array(curve[axis], dtype=float), np.array(curve["loss"], dtype=float)


def _running_median(values: np.ndarray) -> np.ndarray:
    """Return the median over a window of about 1/40 of the curve, at least 5 points."""
    half = max(2, len(values) // 80)
    return np.array(
        [np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]
    )
