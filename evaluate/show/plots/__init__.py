"""Plots of results: losses, performance profile, speed-up against scale, learning rates."""

import io
import re
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from evaluate.score.results import Result
from evaluate.score.standing import comparable, labels, standings
from evaluate.show.board import profile_costs
from evaluate.show.plots.losses import X_LABELS, loss_figure
from evaluate.show.plots.profiles import profile_figure
from evaluate.show.plots.rates import rates_figure
from evaluate.show.plots.scaling import LEAST_PAIRS, scaling_figure
from writing.files import write_atomically


def write_plots(folder: Path, results: Sequence[Result]) -> list[Path]:
    """Draw all results (oldest first) into PNG files in the folder; returns their paths.

    Suites and hardware get files of their own.
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
    found, timed = standings(group), group[0].timed
    axes = [axis for axis in X_LABELS if timed or axis == "steps"]
    drawn = {f"loss_by_{axis}": loss_figure(group, axis) for axis in axes}
    if costs := profile_costs(found, timed):
        drawn["performance_profile"] = profile_figure(group, costs)
    if len({result.pair for result in group}) >= LEAST_PAIRS:
        drawn["speed_up_by_scale"] = scaling_figure(group)
    for sha256, name in labels(group).items():
        runs = [r for r in group if r.submission_sha256 == sha256 and r.learning_rates]
        if runs:
            file = re.sub(r"[^\w.+-]+", "_", f"learning_rates_{name}").strip("_")
            drawn[file] = rates_figure(runs, name)
    return drawn


def _save(figure: Figure, path: Path) -> Path:
    content = io.BytesIO()
    figure.savefig(content, format="png")
    write_atomically(path, content.getvalue())
    return path
