"""Draws the report's figures as SVG: equal results give equal bytes."""

import io
import math
import textwrap

import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from evaluate.score.results import Result

PANELS = 4
TITLE_WIDTH = 18  # characters in a line above a panel
WIDE = 6.0  # high over low of an axis, from which on ticks at 1, 2 and 5 are enough
OURS, BASELINE, OTHER = "#b03a2e", "#555555", "#2471a3"
# From matplotlib's own settings, whatever the user's are.
STYLE: list = [
    "default",
    {
        "svg.hashsalt": "report",
        "font.size": 7,
        "axes.linewidth": 0.5,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "lines.linewidth": 0.9,
        "legend.frameon": False,
    },
]


def meta_loss(log: list[dict]) -> bytes:
    """Draw the episodes' time over the baseline's, by the outer step in which they ended."""
    rows = [row for row in log if row["ratio"] is not None]
    with matplotlib.style.context(STYLE):
        figure = Figure((3.3, 1.6), layout="constrained")
        axes = figure.add_subplot()
        axes.plot([row["step"] for row in rows], [row["ratio"] for row in rows], color=OURS)
        axes.axhline(1, color=BASELINE, linestyle=":")
        axes.set(xlabel="outer step", ylabel="time / Adam's time", ylim=(0, None))
        return _svg(figure)


def learning_rates(runs: list[Result], train_sha256: str) -> bytes:
    """Draw the rate of each tensor over the steps, a panel per pair, coloured by depth."""
    ours = _longest(runs, train_sha256)
    with matplotlib.style.context(STYLE):
        figure, panels = _panels(len(ours))
        colours = matplotlib.colormaps["viridis"]
        for axes, run in zip(panels, ours, strict=False):
            steps = [step for step, _ in run.learning_rates]
            tensors = list(zip(*(rates for _, rates in run.learning_rates), strict=True))
            for depth, rates in enumerate(tensors):
                colour = colours(depth / max(len(tensors) - 1, 1))
                axes.plot(steps, rates, color=colour, marker=".", markersize=2)
            _label(axes, run)
        panels[0].set_ylabel("learning rate")
        return _svg(figure)


def test_losses(runs: list[Result], train_sha256: str) -> bytes:
    """Draw the test loss over the steps, ours and the baseline's, a panel per pair."""
    ours = _longest(runs, train_sha256)
    baselines = {(run.pair, run.repeat): run for run in runs if run.role == "baseline"}
    with matplotlib.style.context(STYLE):
        figure, panels = _panels(len(ours))
        for axes, run in zip(panels, ours, strict=False):
            other = baselines.get((run.pair, run.repeat))
            for curve, colour, label in ((other, BASELINE, "baseline"), (run, OURS, "learned")):
                if curve:
                    _draw_losses(axes, curve.test_curve, colour, label)
            axes.axhline(run.target, color=OTHER, linestyle=":", label="target")
            _label(axes, run)
        panels[0].set_ylabel("test loss")
        panels[0].legend()
        return _svg(figure)


def _panels(count):
    figure = Figure((7.0, 1.7), layout="constrained")
    return figure, figure.subplots(1, max(count, 1), squeeze=False)[0]


def _draw_losses(axes, curve, colour, label):
    points = [
        (step, loss)
        for step, loss in zip(curve["steps"], curve["loss"], strict=True)
        if loss is not None and 0 < loss < math.inf
    ]
    axes.plot(*zip(*points, strict=True), color=colour, label=label, marker=".", markersize=2)


def _longest(runs, train_sha256):
    """Return our first run on each of the PANELS pairs with the most tests, in their order."""
    first = {}
    for run in runs:
        is_ours = run.submission_sha256 == train_sha256
        if is_ours and run.learning_rates and run.test_curve["steps"]:
            first.setdefault(run.pair, run)
    kept = sorted(first.values(), key=lambda run: -len(run.learning_rates))[:PANELS]
    return [run for run in first.values() if run in kept]


def _label(axes, run):
    title = textwrap.fill(run.pair.replace("_", " "), TITLE_WIDTH)
    axes.set(yscale="log", xlabel="step", title=title)
    low, high = axes.get_ylim()
    subs = (1, 2, 5) if high > WIDE * low else (1, 1.5, 2, 3, 5, 7)
    axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(NullLocator())


def _svg(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
