"""The figure of benchmarks.scaling: speed-up against horizon, and against size.

python -m benchmarks.scaling_figure docs/results/scaling.json docs/results/scaling.png
"""

import json
from pathlib import Path

import matplotlib
import numpy as np
import tyro

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  the backend comes first

AXES = {
    "horizon": "steps of Adam(1e-3) to the target",
    "parameters": "parameters",
}
LINES = {"learned": "-", "constant": ":"}


def draw(axis, rows, along):
    """One line a task and rule; the learned ones with a band from lowest to highest."""
    for color, task in enumerate(dict.fromkeys(row["task"] for row in rows)):
        mine = sorted((r for r in rows if r["task"] == task), key=lambda r: r[along])
        x = [r[along] for r in mine]
        for rule, line in LINES.items():
            middle, low, high = np.array([r[rule] for r in mine]).T
            label = task if rule == "learned" else None
            axis.plot(x, middle, line, color=f"C{color}", marker="o", ms=3, label=label)
            if rule == "learned":
                axis.fill_between(x, low, high, color=f"C{color}", alpha=0.15, lw=0)
    axis.axhline(1, color="0.6", lw=1)
    axis.set(xscale="log", xlabel=AXES[along], ylim=(0, None))
    axis.legend(fontsize="small")


def main(result: tyro.conf.Positional[Path], out: tyro.conf.Positional[Path]) -> None:
    """Draw the figure.

    Args:
        result: file that benchmarks.scaling wrote.
        out: picture, PNG or SVG.
    """
    rows = json.loads(result.read_text())["rows"]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    draw(axes[0], [r for r in rows if r["varied"] == "horizon"], "horizon")
    draw(axes[1], [r for r in rows if r["varied"] == "size"], "parameters")
    axes[0].set_ylabel("speed-up in steps (solid: learned,\ndotted: constant rates)")
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    tyro.cli(main)
