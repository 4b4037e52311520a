"""The figure of benchmarks.distribution: steps and gradient noise against size.

    python -m benchmarks.distribution_figure docs/results/distribution.json \
        docs/results/distribution.png
"""

import json
from pathlib import Path

import matplotlib
import tyro

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  the backend comes first

STYLES = {"training": ("o", "0.6"), "development": ("s", "#0072B2"), "validation": ("D", "#D55E00")}
AXES = {
    "steps": "steps of Adam(1e-3)",
    "noise": "noise / signal of a batch's gradient",
}


def draw(axes, rows, what):
    """One dot a variant; those without a value are left out."""
    for group, (marker, color) in STYLES.items():
        mine = [r for r in rows if r["group"] == group and r[what] is not None]
        x, y = [r["parameters"] for r in mine], [r[what] for r in mine]
        axes.scatter(x, y, s=14, marker=marker, color=color, label=f"{group}, {len(mine)}")
    axes.set(xscale="log", yscale="log", xlabel="parameters", ylabel=AXES[what])
    axes.legend(fontsize="small")


def main(result: tyro.conf.Positional[Path], out: tyro.conf.Positional[Path]) -> None:
    """Draw the figure.

    Args:
        result: file that the benchmark wrote.
        out: picture, PNG or SVG.
    """
    rows = json.loads(result.read_text())["rows"]
    figure, axes = plt.subplots(1, len(AXES), figsize=(9, 3.6), layout="constrained")
    for axis, what in zip(axes, AXES, strict=True):
        draw(axis, rows, what)
    figure.savefig(out, dpi=150)


if __name__ == "__main__":
    tyro.cli(main)
