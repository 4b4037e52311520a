"""Show an evaluation pair in the terminal or as a picture: data, network, baseline curve."""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text as Line
from torch import Tensor

from tasks.data import load
from tasks.data.formats import DataError, Images, Text
from tasks.options import VariantError
from tasks.table import data_changes, modifications, pairs, weights
from tasks.variant import Variant
from writing.files import write_atomically

SHOWN, TOKENS = 8, 600  # number of images, and of tokens of text
_SHADES, _HEIGHTS = " ░▒▓█", "▁▂▃▄▅▆▇█"
_HEIGHT, _WIDTH = 12, 64  # of the plotted curve, in characters


def print_pair(
    name: str, variant: Variant, record: Mapping[str, Any] | None, root: Path | None
) -> None:
    """Print a pair. Without the data's files, samples are left out.

    record: the measurement of the target (`tasks.suites.targets`), or None.
    """
    console = Console(highlight=False)
    try:
        data = load(variant.data, variant.data_options, root)
        shown: RenderableType = _images(data) if isinstance(data, Images) else Line(excerpt(data))
        size = f", {weights(variant, root):,} weights"
    except DataError as error:
        shown, size = Line(f"no samples: {error}"), ""
    console.print(_description(name, variant, size))
    console.print(shown)
    console.print(Line("\n".join(_curve(record))))


def write_picture(
    path: Path, name: str, variant: Variant, record: Mapping[str, Any] | None, root: Path | None
) -> None:
    """Draw a pair into a file, in the format that its name ends in (PNG, PDF, SVG).

    Raises DataError without the data's files, and VariantError if the file can't be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    data = load(variant.data, variant.data_options, root)
    figure = plt.figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subfigures(1, 2)  # type: ignore[misc]
    draw = _draw_images if isinstance(data, Images) else _draw_text
    draw(left, data)
    axes = right.add_subplot()
    if record is not None:
        epochs = range(1, len(record["losses"]) + 1)
        axes.plot(epochs, record["losses"], color="#0072B2", label="baseline, Adam(1e-3)")
        target = f"target {record['target']:g}, epoch {record['epoch']}"
        axes.axhline(record["target"], color="#D55E00", linestyle="--", label=target)
        axes.legend()
    axes.set(xlabel="epoch", ylabel="test loss", title=f"{name}: {variant.family}")
    content, kind = io.BytesIO(), path.suffix.lstrip(".") or "png"
    try:
        figure.savefig(content, format=kind, dpi=150)
        write_atomically(path, content.getvalue())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error).split(" (")[0]
        raise VariantError(f"cannot write {path}: {reason}") from None
    finally:
        plt.close(figure)


def _description(name: str, variant: Variant, size: str) -> Table:
    table = Table("pair", name)
    table.add_row("architecture", f"{variant.family} {pairs(dict(variant.arch))}{size}")
    table.add_row("data", f"{variant.data} {pairs(data_changes(variant))}")
    table.add_row("batch size, seed", f"{variant.batch_size}, {variant.seed}")
    if changes := pairs(modifications(variant)):
        table.add_row("modifications", changes)
    table.add_row("digest", variant.digest)
    return table


def excerpt(data: Text) -> str:
    """Return the first training tokens as text, with a question mark for unknown words."""
    space = " " if max(map(len, data.symbols)) > 1 else ""
    return space.join(data.symbols[token] for token in data.train[:TOKENS].tolist())


def _images(data: Images) -> Columns:
    return Columns(
        Panel(Group(*map(Line, blocks(image))), title=f"class {label}", expand=False)
        for image, label in _shown(data)
    )


def _shown(data: Images) -> Iterable[tuple[Tensor, int]]:
    return zip(data.train_x[:SHOWN], data.train_y[:SHOWN].tolist(), strict=True)


def blocks(image: Tensor) -> list[str]:
    """Return an image [channels, height, width] as lines of grey levels, two characters per pixel.

    One-dimensional data (height 1) are one line of bars.
    """
    grey = image.mean(0)
    level = (grey - grey.min()) / (grey.max() - grey.min()).clamp(min=1e-9)
    is_flat = len(grey) == 1
    signs = _HEIGHTS if is_flat else _SHADES
    index = (level * (len(signs) - 1)).round().long()
    return ["".join(signs[i] * (1 if is_flat else 2) for i in row) for row in index.tolist()]


def _curve(record: Mapping[str, Any] | None) -> list[str]:
    if record is None:
        return ["no target yet: `python -m tasks measure` with the suite's name measures it"]
    losses, target = record["losses"], record["target"]
    title = f"test loss of the baseline over {len(losses)} epochs; target {target:g}"
    return [title, *plotted(losses, target)]


def plotted(losses: Sequence[float], target: float) -> list[str]:
    """Return the lines of a plot: losses as dots over the full width, the target as a line."""
    high, low = max(*losses, target), min(*losses, target)

    def row(value: float) -> int:
        return round((high - value) / max(high - low, 1e-9) * (_HEIGHT - 1))

    grid = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    grid[row(target)] = ["─"] * _WIDTH
    place = torch.linspace(0, len(losses) - 1, _WIDTH).round().int().tolist()
    for column, epoch in enumerate(place):
        grid[row(losses[epoch])][column] = "•"
    labels = {row(value): f"{value:9.4g}" for value in (high, low, target)}
    return [f"{labels.get(i, ''):>9} │{''.join(line)}" for i, line in enumerate(grid)]


def _draw_images(figure: Any, data: Images) -> None:
    for place, (image, label) in enumerate(_shown(data), 1):
        axes = figure.add_subplot(2, SHOWN // 2, place)
        axes.set_title(f"class {label}", fontsize=8)
        axes.set_axis_off()
        if image.shape[1] == 1:
            axes.plot(image.flatten())
        else:
            scaled = (image - image.min()) / (image.max() - image.min())
            axes.imshow(scaled.movedim(0, -1).squeeze(-1), cmap="gray")


def _draw_text(figure: Any, data: Text) -> None:
    axes = figure.add_subplot()
    axes.set_axis_off()
    lines = [
        line[start : start + 60]
        for line in excerpt(data).split("\n")
        for start in range(0, max(len(line), 1), 60)
    ]
    shown = "\n".join(lines[:24]).replace("$", r"\$")
    axes.text(0, 1, shown, va="top", fontsize=7, family="monospace", transform=axes.transAxes)
