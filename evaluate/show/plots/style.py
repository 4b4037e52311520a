"""Panels, colours and legends shared by the plots."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from evaluate.score.results import Result
from evaluate.score.standing import entered, standings

#: Okabe and Ito's colours, distinct for any kind of colour vision. Black is the baseline's.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BASELINE_COLOUR = "black"
#: Colour of the remaining methods when the others are used up.
GREY = "0.72"
GREY_KEY = {"other peers": Line2D([], [], color=GREY, lw=1.0)}
PANEL = (4.6, 3.2)  # inches
#: Sizes in a legend, in inches: a line with its gaps, a letter, and a row.
HANDLE, LETTER, ROW = 0.6, 0.075, 0.17


def method_colours(group: Sequence[Result]) -> dict[str, str]:
    """Return a colour for each method, by digest: submissions, then peers, each best first.

    Since more than six lines can't be distinguished, the rest is grey and only shows the field. The
    table names all methods.
    """
    ours = entered(group)
    ranked = [one.sha256 for one in standings(group)]
    ordered = sorted(ranked, key=lambda sha256: sha256 not in ours)
    return {sha: COLOURS[i] if i < len(COLOURS) else GREY for i, sha in enumerate(ordered)}


def middle(runs: Sequence[Result]) -> Result:
    """Return the run with the median number of steps, misses last; of two middle ones the later."""
    ranked = sorted(runs, key=lambda run: (not run.reached, run.steps))
    return ranked[len(ranked) // 2]


def panels(count: int, height: float = PANEL[1]) -> tuple[Figure, list[Axes]]:
    """Return a figure with `count` panels of a height in inches, and the panels."""
    columns = 2 if count == 4 else min(3, count)
    rows = math.ceil(count / columns)
    # Not pyplot's figure: no global state, no display.
    figure = Figure((PANEL[0] * columns, height * rows), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[count:]:
        unused.remove()
    for panel in axes[:count]:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25, lw=0.6)
        panel.xaxis.set_major_locator(MaxNLocator(5))
    return figure, list(axes[:count])


def legend(figure: Figure, entries: dict) -> None:
    """Add a legend above the panels, with as many columns as the longest name permits."""
    column = HANDLE + LETTER * max(map(len, entries))
    columns = max(1, min(len(entries), int(figure.get_figwidth() // column)))
    figure.set_figheight(figure.get_figheight() + ROW * math.ceil(len(entries) / columns))
    figure.legend(
        entries.values(), entries.keys(), loc="outside upper center",
        ncols=columns, frameon=False, fontsize=9,
    )  # fmt: skip


def plain_ticks(panel: Axes) -> None:
    """Label a logarithmic y axis with plain numbers such as 0.3, and with enough ticks."""
    bottom, top = panel.get_ylim()
    dense = next(steps for ratio, steps in _TICKS if top / bottom < ratio)
    decades = [
        10.0**n for n in range(math.floor(math.log10(bottom)), math.ceil(math.log10(top)) + 1)
    ]
    ticks = [d * s for d in decades for s in dense if bottom <= d * s <= top]
    panel.set_yticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    panel.set_yticks([], minor=True)


#: Ticks within a decade, by the ratio of the axis' ends.
_TICKS = (
    (4, (1, 1.2, 1.4, 1.6, 1.8, 2, 2.25, 2.5, 2.75, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9)),
    (20, (1, 1.5, 2, 3, 4, 5, 7)),
    (math.inf, (1, 2, 5)),
)
