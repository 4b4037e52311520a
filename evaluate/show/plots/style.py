"""What the plots share: panels, colours, and which methods get one."""

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from evaluate.score.results import Result
from evaluate.score.standing import entered, standings

#: Okabe and Ito's colours, told apart with any kind of colour vision; black is the baseline's.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
BASELINE_COLOUR = "black"
#: Of the methods that are left when the colours are used up.
GREY = "0.72"
GREY_KEY = {"other peers": Line2D([], [], color=GREY, lw=1.0)}
PANEL = (4.6, 3.2)  # inches
#: Inches in a legend: of a line with its gaps, of a letter, and of a row.
HANDLE, LETTER, ROW = 0.6, 0.075, 0.17


def method_colours(group: Sequence[Result]) -> dict[str, str]:
    """A colour for each method, by digest: submissions first, then peers, the best first.

    More than half a dozen lines cannot be told apart, so the rest is grey: there to show the
    field, not to be read one by one. The table names them all.
    """
    ours = entered(group)
    ranked = [one.sha256 for one in standings(group)]
    ordered = sorted(ranked, key=lambda sha256: sha256 not in ours)
    return {sha: COLOURS[i] if i < len(COLOURS) else GREY for i, sha in enumerate(ordered)}


def middle(runs: Sequence[Result]) -> Result:
    """The run that took the median number of steps, misses last; the later one of two."""
    ranked = sorted(runs, key=lambda run: (not run.reached, run.steps))
    return ranked[len(ranked) // 2]


def panels(count: int, height: float = PANEL[1]) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, of a height in inches."""
    columns = 2 if count == 4 else min(3, count)
    rows = math.ceil(count / columns)
    # A Figure of its own, not pyplot's: no global state, no display.
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
    """A legend above the panels, in as many columns as the longest name leaves room for."""
    column = HANDLE + LETTER * max(map(len, entries))
    columns = max(1, min(len(entries), int(figure.get_figwidth() // column)))
    figure.set_figheight(figure.get_figheight() + ROW * math.ceil(len(entries) / columns))
    figure.legend(
        entries.values(), entries.keys(), loc="outside upper center",
        ncols=columns, frameon=False, fontsize=9,
    )  # fmt: skip


def plain_ticks(panel: Axes) -> None:
    """Label 0.3 as 0.3 on a logarithmic axis of y, with enough ticks to read a value."""
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
