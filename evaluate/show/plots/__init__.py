"""Plots of results: losses, performance profile, speed-up against scale, learning rates."""

import io
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from evaluate.score.results import Result
from evaluate.score.standing import comparable, labels, standings
from evaluate.show.board import profile_costs
from evaluate.show.plots.losses import X_LABELS, loss_figure
from evaluate.show.plots.profiles import profile_figure
from evaluate.show.plots.rates import rates_figure
from evaluate.show.plots.scaling import LEAST_PAIRS, scaling_figure
from evaluate.text import clean
from writing.files import write_atomically


def write_plots(folder: Path, results: Sequence[Result]) -> list[Path]:
    """Draw all results (oldest first) into PNG files in the folder, and return the paths.

    Each suite and hardware gets separate files.
    """
    paths = []
    groups = comparable(results)
    for number, group in enumerate(groups, 1):
        suffix = "" if len(groups) == 1 else f".{group[0].suite}.{number}"
        for name, figure in figures(group).items():
            path = folder / f"{name}{suffix}.png"
            paths.append(attempt(name, partial(_save, figure, path)))
    return list(filter(None, paths))


def figures(group: Sequence[Result]) -> dict[str, Figure]:
    """Return all figures of a group of comparable results, by a name suitable for a file."""
    found, timed = standings(group), group[0].timed
    axes = [axis for axis in X_LABELS if timed or axis == "steps"]
    wanted = {f"loss_by_{axis}": partial(loss_figure, group, axis) for axis in axes}
    if costs := profile_costs(found, timed):
        wanted["performance_profile"] = partial(profile_figure, group, costs)
    if len({result.pair for result in group}) >= LEAST_PAIRS:
        wanted["speed_up_by_scale"] = partial(scaling_figure, group)
    for sha256, name in labels(group).items():
        runs = [r for r in group if r.submission_sha256 == sha256 and r.learning_rates]
        if runs:
            file = re.sub(r"[^\w.+-]+", "_", f"learning_rates_{name}").strip("_")
            wanted[file] = partial(rates_figure, runs, name)
    drawn = {name: attempt(name, draw) for name, draw in wanted.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def attempt(name: str, draw: Callable) -> Any:
    """Return `draw()`; if it fails, print a note on stderr and return None.

    No single result may stop a report.
    """
    try:
        return draw()
    except Exception as problem:
        reason = clean(f"{type(problem).__name__}: {problem}")
        print(f"note: {name} is left out, it could not be drawn: {reason}", file=sys.stderr)
        return None


def _save(figure: Figure, path: Path) -> Path:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_atomically(path, content.getvalue())
    return path
