"""Plots of the speed-up against the length of training and the size of the network.

Learned optimizers have failed beyond the horizon and size of their training tasks. So a mean over
pairs is not enough: these plots show whether the advantage holds if the baseline takes many steps,
or if the network has many weights. Results contain both, so any suite can be drawn.
"""

import math
import statistics
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from evaluate.score.results import Result
from evaluate.score.score import speed_up
from evaluate.score.standing import Standing, labels, pair_names, runs_of, standings
from evaluate.show.plots.style import GREY, GREY_KEY, legend, method_colours, panels, plain_ticks

#: Draw no plot for fewer pairs: they show no trend.
LEAST_PAIRS = 3


def horizons(group: Sequence[Result]) -> dict[str, float]:
    """Return the baseline's median steps to the target, for each pair on which it succeeded."""
    taken = {
        pair: [run.steps for run in runs_of(group, pair, "baseline") if run.reached]
        for pair in pair_names(group)
    }
    return {pair: statistics.median(steps) for pair, steps in taken.items() if steps}


def sizes(group: Sequence[Result]) -> dict[str, float]:
    """Return the number of weights of each pair's networks."""
    return {run.pair: sum(map(math.prod, run.tensor_shapes)) for run in group if run.tensor_shapes}


def scaling_figure(group: Sequence[Result]) -> Figure:
    """Plot the speed-up on each pair against the baseline's steps and the number of weights.

    Bars span the repeats; a cross at the bottom marks a miss.
    """
    names, colours = labels(group), method_colours(group)
    found = {one.sha256: one for one in standings(group)}
    measure = "seconds" if group[0].timed else "steps"
    figure, axes = panels(2)
    entries = {}
    scales = {
        "steps of the baseline": horizons(group),
        "weights of the networks": sizes(group),
    }
    for panel, (label, scale) in zip(axes, scales.items(), strict=True):
        panel.set(xscale="log", yscale="log", xlabel=label, ylabel=f"speed-up in {measure}")
        panel.axhline(1.0, color="black", lw=1.0)
        for sha256, colour in reversed(colours.items()):
            line = _draw(panel, found[sha256], scale, measure, colour)
            if colour != GREY:
                entries[names[sha256]] = line
        plain_ticks(panel)
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter(EngFormatter(sep=""))
    others = GREY_KEY if GREY in colours.values() else {}
    missed = Line2D([], [], color="black", marker="x", ls="")
    baseline = Line2D([], [], color="black", lw=1.0)
    legend(
        figure, dict(reversed(entries.items())) | others | {"baseline": baseline, "missed": missed}
    )
    return figure


def _draw(
    panel: Axes, one: Standing, scale: Mapping[str, float], measure: str, colour: str
) -> Line2D:
    scores = [
        (scale[pair], getattr(s, measure)) for pair, s in one.pairs.items() if s and pair in scale
    ]
    points = [(x, 1 / max(c), speed_up(c), 1 / min(c)) for x, c in sorted(scores)]
    solved = [point for point in points if point[2] > 0]
    x, low, y, high = zip(*solved, strict=True) if solved else ((), (), (), ())
    panel.plot(
        [x for x, _, y, _ in points if y == 0],
        [0.03] * (len(points) - len(solved)),
        transform=panel.get_xaxis_transform(),
        color=colour,
        marker="x",
        ls="",
    )
    if colour == GREY:
        return panel.plot(x, y, color=GREY, marker="o", ms=3, ls="", zorder=1)[0]
    panel.vlines(x, [one or min(y) for one in low], high, color=colour, lw=1.0, alpha=0.6)
    return panel.plot(x, y, color=colour, marker="o", ms=5, lw=1.2, zorder=3)[0]
