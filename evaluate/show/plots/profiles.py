"""Plot of the performance profile (evaluate.score.profile)."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from evaluate.score.profile import LARGEST_RATIO, area, ratios, share_within
from evaluate.score.results import Result
from evaluate.score.standing import labels
from evaluate.show.plots.style import (
    BASELINE_COLOUR,
    GREY,
    HANDLE,
    LETTER,
    ROW,
    method_colours,
    panels,
)

#: Size of the panel in inches.
PANEL = (6.6, 4.4)


def profile_figure(group: Sequence[Result], costs: dict[str, list[float]]) -> Figure:
    """Plot the share of pairs solved within a factor of the best method.

    `costs` are by digest and pair, the baseline's under "". The legend names all methods, including
    grey ones, ordered by the area under the profile.
    """
    names, colours = {**labels(group), "": "baseline"}, method_colours(group)
    every = ratios(costs)
    drawn = [*reversed([sha256 for sha256 in colours if sha256 in every]), ""]
    figure, (panel,) = panels(1)
    lines = {one: _draw(panel, every[one], colours.get(one, BASELINE_COLOUR)) for one in drawn}
    measure = "time" if group[0].timed else "steps"
    panel.set(
        xlabel=f"{measure} / that of the best method on the pair",
        ylabel="share of the pairs",
        xlim=(1, LARGEST_RATIO),
        ylim=(0, 1.03),
        xticks=[1, 1.5, 2, 2.5, 3, 3.5, LARGEST_RATIO],
    )
    areas = {one: area(every[one]) for one in drawn}
    ranked = sorted(drawn, key=areas.get, reverse=True)
    legend = panel.legend(
        [lines[one] for one in ranked],
        [f"{areas[one]:.2f}  {names[one]}" for one in ranked],
        title="area, method", loc="upper left", bbox_to_anchor=(1.01, 1.02),
        frameon=False, fontsize=8, title_fontsize=8, alignment="left",
    )  # fmt: skip
    for one, text in zip(ranked, legend.get_texts(), strict=True):
        if colours.get(one) == GREY:
            text.set_color("0.45")
    beside = HANDLE + LETTER * (6 + max(len(names[one]) for one in ranked))
    figure.set_size_inches(PANEL[0] + beside, max(PANEL[1], ROW * (3 + len(ranked))))
    return figure


def _draw(panel: Axes, row: Sequence[float], colour: str) -> Line2D:
    taus = sorted({1.0, LARGEST_RATIO, *(one for one in row if one < LARGEST_RATIO)})
    shares = [share_within(row, tau) for tau in taus]
    width = 1.0 if colour == GREY else 1.8
    (line,) = panel.step(taus, shares, where="post", color=colour, lw=width)
    return line
