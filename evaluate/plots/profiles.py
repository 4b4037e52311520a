"""The performance profile (evaluate.profile)."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluate.plots.style import (
    BASELINE_COLOUR,
    GREY,
    GREY_KEY,
    legend,
    method_colours,
    panels,
)
from evaluate.profile import LARGEST_RATIO, ratios, share_within
from evaluate.results import Result
from evaluate.standing import labels


def profile_figure(group: Sequence[Result], costs: dict[str, list[float]]) -> Figure:
    """Share of the pairs solved within a factor of the best method; costs by digest and pair."""
    names, colours = labels(group), method_colours(group)
    baseline = [1.0] * len(next(iter(costs.values())))
    every = ratios({"": baseline, **costs})
    figure, (panel,) = panels(1)
    figure.set_size_inches(8.0, 4.4)
    entries = {}
    for sha256 in reversed([sha256 for sha256 in colours if sha256 in every]):
        line = _draw(panel, every[sha256], colours[sha256])
        if colours[sha256] != GREY:
            entries[names[sha256]] = line
    entries["baseline"] = _draw(panel, every[""], BASELINE_COLOUR)
    measure = "time" if group[0].timed else "steps"
    panel.set(
        xlabel=f"{measure} / that of the best method on the pair",
        ylabel="share of the pairs",
        xlim=(1, LARGEST_RATIO),
        ylim=(0, 1.03),
    )
    others = GREY_KEY if GREY in colours.values() else {}
    legend(figure, dict(reversed(entries.items())) | others)
    return figure


def _draw(panel: Axes, row: Sequence[float], colour: str):
    taus = sorted({1.0, LARGEST_RATIO, *(one for one in row if one < LARGEST_RATIO)})
    shares = [share_within(row, tau) for tau in taus]
    width = 1.0 if colour == GREY else 1.8
    (line,) = panel.step(taus, shares, where="post", color=colour, lw=width)
    return line
