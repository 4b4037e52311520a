"""Plots of results: loss against time and steps, and the learning rates a submission exposes."""

import math
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from evaluate.profile import LARGEST_RATIO, ratios, share_within
from evaluate.results import Result
from evaluate.standing import comparable, labels, standings
from evaluate.table import profile_costs

#: Okabe and Ito's colours, told apart with any kind of colour vision; black is the baseline's.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINE_STYLES = ("-", "--", "-.", ":")
#: More tensors than this are drawn as a heat map.
LINES_AT_MOST = 12
PANEL = (4.6, 3.2)  # inches
TARGET_STYLE = {"color": "0.35", "lw": 1.2, "ls": (0, (4, 2))}
TRAINING_STYLE = {"lw": 0.8, "alpha": 0.45}
STAR_STYLE = {"marker": "*", "ms": 13, "mec": "white", "mew": 0.8}
#: What the marks mean that all submissions share.
_KEY = {
    "training loss": Line2D([], [], color="black", **TRAINING_STYLE),
    "target": Line2D([], [], **TARGET_STYLE),
    "target reached": Line2D([], [], color="black", ls="", **STAR_STYLE),
}
#: Ticks within a decade of the loss axis, by the ratio of its ends.
TICKS = (
    (4, (1, 1.2, 1.4, 1.6, 1.8, 2, 2.25, 2.5, 2.75, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9)),
    (20, (1, 1.5, 2, 3, 4, 5, 7)),
    (math.inf, (1, 2, 5)),
)
X_LABELS = {"seconds": "time on the clock (s)", "steps": "step"}


def write_plots(folder: Path, results: Sequence[Result]) -> list[Path]:
    """Draw all results (oldest first) into PNG files in the folder; returns their paths.

    Suites and hardware get files of their own. The curves are those of repeat 0.
    """
    paths = []
    groups = comparable(results)
    for number, group in enumerate(groups, 1):
        suffix = "" if len(groups) == 1 else f".{group[0].suite}.{number}"
        for name, figure in figures(group).items():
            paths.append(_save(figure, folder / f"{name}{suffix}.png"))
    return paths


def figures(group: Sequence[Result]) -> dict[str, Figure]:
    """All figures of results that may be compared, by a name fit for a file."""
    first = [result for result in group if result.repeat == 0]
    names = labels(group)
    drawn = {f"loss_by_{axis}": loss_figure(first, names, axis) for axis in _axes(group)}
    costs = profile_costs(standings(group), group[0].timed)
    if costs:
        drawn["performance_profile"] = profile_figure(costs, names, group[0].timed)
    for sha256, name in names.items():
        runs = [r for r in first if r.submission_sha256 == sha256 and r.learning_rates]
        if runs:
            file = re.sub(r"[^\w.+-]+", "_", f"learning_rates_{name}").strip("_")
            drawn[file] = rates_figure(runs, name)
    return drawn


def _axes(group: Sequence[Result]) -> list[str]:
    return [axis for axis in X_LABELS if group[0].timed or axis == "steps"]


def profile_figure(costs: dict[str, list[float]], names: dict[str, str], timed: bool) -> Figure:
    """Share of the pairs solved within a factor of the best method (evaluate.profile)."""
    figure, (panel,) = _panels(1)
    figure.set_size_inches(7.2, 4.4)
    baseline = [1.0] * len(next(iter(costs.values())))
    styles = {"": ("black", "-"), **_styles(names)}
    every = ratios({"": baseline, **costs})
    for sha256, row in every.items():
        colour, line_style = styles[sha256]
        taus = sorted({1.0, LARGEST_RATIO, *(one for one in row if one < LARGEST_RATIO)})
        shares = [share_within(row, tau) for tau in taus]
        label = names.get(sha256, "baseline")
        panel.step(taus, shares, where="post", color=colour, ls=line_style, lw=1.8, label=label)
    measure = "time" if timed else "steps"
    panel.set(
        xlabel=f"{measure} / that of the best method on the pair",
        ylabel="share of the pairs",
        xlim=(1, LARGEST_RATIO),
        ylim=(0, 1.03),
    )
    panel.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    return figure


def loss_figure(results: Sequence[Result], names: dict[str, str], axis: str) -> Figure:
    """Loss against ``axis`` ("seconds" or "steps"), one panel per pair, with the target.

    Test losses are thick, with marks at tests and a star where the target was reached; training
    losses are thin, as a running median.
    """
    by_pair: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_pair[result.pair].append(result)
    figure, panels = _panels(len(by_pair))
    styles = _styles(names)
    entries = {}
    for panel, (pair, runs) in zip(panels, by_pair.items(), strict=True):
        for run in runs:
            baseline = run.role == "baseline"
            label = f"{run.submission} (baseline)" if baseline else names[run.submission_sha256]
            style = ("black", "-") if baseline else styles[run.submission_sha256]
            entries[label] = _draw_losses(panel, run, axis, *style)
        target = runs[0].target
        panel.axhline(target, **TARGET_STYLE)
        _frame_losses(panel, runs, axis)
        panel.set(title=f"{pair}: target {target:g}", xlabel=X_LABELS[axis], ylabel="loss (nats)")
    _legend(figure, entries | _KEY)
    return figure


def rates_figure(results: Sequence[Result], name: str) -> Figure:
    """Learning rate of each tensor against the step, one panel per pair: lines or a heat map."""
    figure, panels = _panels(len(results))
    for panel, result in zip(panels, results, strict=True):
        steps = np.array([step for step, _ in result.learning_rates])
        rates = np.array([row for _, row in result.learning_rates], dtype=float)
        if rates.shape[1] > LINES_AT_MOST:
            _draw_heat_map(figure, panel, steps, rates)
        else:
            _draw_lines(panel, steps, rates, result.tensor_shapes)
        panel.set(title=result.pair, xlabel="step")
    figure.suptitle(f"Learning rates of {name}", fontsize=12)
    return figure


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    columns = 2 if count == 4 else min(3, count)
    rows = math.ceil(count / columns)
    # A Figure of its own, not pyplot's: no global state, no display.
    figure = Figure((PANEL[0] * columns, PANEL[1] * rows), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for unused in axes[count:]:
        unused.remove()
    for panel in axes[:count]:
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(alpha=0.25, lw=0.6)
        panel.xaxis.set_major_locator(MaxNLocator(5))
    return figure, list(axes[:count])


def _styles(names: dict[str, str]) -> dict[str, tuple[str, str]]:
    """A colour for each submission; after the last colour they come again, dashed."""
    return {
        sha256: (
            COLOURS[i % len(COLOURS)],
            LINE_STYLES[i // len(COLOURS) % len(LINE_STYLES)],
        )
        for i, sha256 in enumerate(names)
    }


def _draw_losses(panel: Axes, run: Result, axis: str, colour: str, line_style: str):
    train_x, train_loss = _curve(run.train_curve, axis)
    panel.plot(train_x, _running_median(train_loss), color=colour, **TRAINING_STYLE)
    x, loss = _curve(run.test_curve, axis)
    (line,) = panel.plot(
        x, loss, color=colour, ls=line_style, lw=1.8, marker="o", ms=3, markevery=0.05
    )
    if run.reached:
        panel.plot(x[-1:], loss[-1:], color=colour, zorder=5, **STAR_STYLE)
    return line


def _frame_losses(panel: Axes, runs: Sequence[Result], axis: str) -> None:
    """Show the losses from the first one to a little below the target, whatever diverges.

    A run that goes on after all others have reached the target is cut at twice their length.
    """
    target = runs[0].target
    curves = [_curve(c, axis) for run in runs for c in (run.train_curve, run.test_curve)]
    seen = np.concatenate([loss[np.isfinite(loss)] for _, loss in curves])
    starts = [loss[0] for _, loss in curves if len(loss) and np.isfinite(loss[0])]
    panel.set_yscale("log")
    ends = [_curve(run.test_curve, axis)[1][-1] for run in runs if run.reached]
    lowest = min([0.9 * target, *(0.9 * end for end in ends), *seen[seen > 0.5 * target]])
    panel.set_ylim(lowest, 1.1 * max([*starts, 1.5 * target]))
    reached = [_curve(run.test_curve, axis)[0][-1] for run in runs if run.reached]
    ends = [x[-1] for x, _ in curves if len(x)]
    if ends:
        panel.set_xlim(0, 1.05 * (min(max(ends), 2 * max(reached)) if reached else max(ends)))
    _plain_ticks(panel)


def _plain_ticks(panel: Axes) -> None:
    """Label 0.3 as 0.3, with enough ticks to read a value: the range is seldom two decades."""
    bottom, top = panel.get_ylim()
    dense = next(steps for ratio, steps in TICKS if top / bottom < ratio)
    decades = 10.0 ** np.arange(math.floor(math.log10(bottom)), math.ceil(math.log10(top)) + 1)
    ticks = [tick for tick in np.outer(decades, dense).ravel() if bottom <= tick <= top]
    panel.set_yticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    panel.set_yticks([], minor=True)


def _draw_lines(panel: Axes, steps: np.ndarray, rates: np.ndarray, shapes: list) -> None:
    for tensor in range(rates.shape[1]):
        shape = "x".join(map(str, shapes[tensor])) if tensor < len(shapes) else ""
        panel.plot(
            steps,
            rates[:, tensor],
            color=COLOURS[tensor % len(COLOURS)],
            ls=LINE_STYLES[tensor // len(COLOURS)],
            lw=1.5,
            label=f"{tensor}: {shape}",
        )
    panel.set_yscale("log")
    panel.set_ylabel("learning rate")
    panel.legend(
        title="tensor: shape", fontsize=6, title_fontsize=7, ncols=1, loc="center left",
        bbox_to_anchor=(1.0, 0.5), frameon=False,
    )  # fmt: skip


def _draw_heat_map(figure: Figure, panel: Axes, steps: np.ndarray, rates: np.ndarray) -> None:
    positive = rates[np.isfinite(rates) & (rates > 0)]
    low, high = (positive.min(), positive.max()) if positive.size else (1e-4, 1e-2)
    norm = LogNorm(low, high if high > low else 1.01 * low)
    mesh = panel.pcolormesh(
        steps, np.arange(rates.shape[1]), rates.T, norm=norm, cmap="cividis", shading="nearest"
    )
    panel.grid(False)
    panel.set_ylabel("tensor, from the input")
    panel.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    panel.invert_yaxis()
    # Inset, for the layout would set a colour bar of its own as far off as the widest legend.
    figure.colorbar(mesh, cax=panel.inset_axes([1.03, 0, 0.04, 1]), label="learning rate")


def _curve(curve: dict[str, list], axis: str) -> tuple[np.ndarray, np.ndarray]:
    # A null in the file, a loss that was not finite, becomes NaN.
    return np.array(curve[axis], dtype=float), np.array(curve["loss"], dtype=float)


def _running_median(values: np.ndarray) -> np.ndarray:
    """Median over a window of about a fortieth of the curve, at least 5 points."""
    half = max(2, len(values) // 80)
    return np.array(
        [np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]
    )


def _legend(figure: Figure, entries: dict) -> None:
    figure.legend(
        entries.values(), entries.keys(), loc="outside upper center",
        ncols=max(2, int(figure.get_figwidth() // 1.7)), frameon=False, fontsize=9,
    )  # fmt: skip


def _save(figure: Figure, path: Path) -> Path:
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, format="png")
    os.replace(temporary, path)
    return path
