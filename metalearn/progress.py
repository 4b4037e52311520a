"""Report a run: a live line, TensorBoard scalars, a plot of the meta-loss, and a log of one JSON
object per outer step."""

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from torch.utils.tensorboard import SummaryWriter

from metalearn.config import Config
from metalearn.trainer import Record
from metalearn.validate import Score
from writing.files import write_atomically

SMOOTHING = 0.9  # decay of the displayed ratio's running mean


class Reporter:
    """Shows and writes the records of a run. A context manager.

    A run resumes from the outer step `start`, so later entries of the log are dropped.
    """

    def __init__(self, config: Config, start: int, names: Sequence[str]):
        self.config, self.names = config, names
        self.path = config.out / "log.jsonl"
        kept = [entry for entry in read_log(self.path) if entry["step"] <= start]
        write_atomically(self.path, "".join(json.dumps(entry) + "\n" for entry in kept).encode())
        self.board = SummaryWriter(config.out / "tensorboard", purge_step=start + 1)
        self.ratio: float | None = None
        self.console = Console()
        self.progress = Progress(
            TextColumn("meta-training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=self.console,
        )
        self.row = self.progress.add_task("", total=config.steps, completed=start, state="")

    def __enter__(self):
        self.progress.__enter__()
        return self

    def __exit__(self, *exception):
        self.progress.__exit__(*exception)
        self.board.close()

    def __call__(self, record: Record) -> None:
        """Show a `metalearn.trainer.Record` and add it to the log."""
        with self.path.open("a") as log:
            log.write(json.dumps(record._asdict()) + "\n")
        if record.ratio is not None:
            old = record.ratio if self.ratio is None else self.ratio
            self.ratio = SMOOTHING * old + (1 - SMOOTHING) * record.ratio
        ratio = "-" if self.ratio is None else f"{self.ratio:.3f}"
        speed = record.inner_steps / record.seconds
        state = f"time over baseline {ratio}, {speed:,.0f} inner steps/s"
        self.progress.update(self.row, completed=record.step, state=state)
        if not self.console.is_terminal and record.step % 20 == 0:
            self.console.print(f"outer step {record.step}: {state}")
        scalars = {
            "time over baseline": record.ratio,
            "time over baseline, fresh variants": record.evaluated,
            "diverged particles": record.diverged,
            "rate": record.rate,
            "inner steps per s": speed,
        }
        for name, loss, norm in zip(self.names, record.loss, record.norm, strict=True):
            scalars |= {f"loss/{name}": loss, f"gradient norm/{name}": norm}
        for name, value in scalars.items():
            if value is not None:
                self.board.add_scalar(name, value, record.step)


def read_log(path: Path) -> list[dict]:
    """Return the entries of a run's log, without a last line that was cut off."""
    entries = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entries.append(json.loads(line))
        except (ValueError, RecursionError):
            break
    return entries


def score_table(before: Sequence[Score], after: Sequence[Score]) -> Table:
    """Return a table of the scores of two policies."""
    table = Table(title="Speed-up in steps over Adam(1e-3), fresh variants, mean ± standard error")
    for column in ("family", "before", "after", "reached its target", "n"):
        table.add_column(column, justify="left" if column == "family" else "right")
    for old, new in zip(before, after, strict=True):
        table.add_row(
            new.family,
            f"{old.speedup:.2f} ± {old.error:.2f}",
            f"{new.speedup:.2f} ± {new.error:.2f}",
            f"{old.solved:.0%}, {new.solved:.0%}",
            str(new.count),
        )
    return table


def plot_log(entries: Sequence[dict], path: Path) -> None:
    """Plot the time over the baseline's of ended episodes against the outer step."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    window = 10
    steps, means = [], []
    for i in range(0, len(entries) - window + 1, window):
        part = [e for e in entries[i : i + window] if e["ended"]]
        count = sum(e["ended"] for e in part)
        if count:
            steps.append(entries[i + window - 1]["step"])
            means.append(sum(e["ratio"] * e["ended"] for e in part) / count)
    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot(steps, means, marker="o", color="#0072B2")
    axes.axhline(1, color="0.4", linestyle="--", label="baseline, Adam(1e-3)")
    axes.set(xlabel="outer step", ylabel="time to target / baseline's", ylim=(0, None))
    axes.set_title(f"Meta-loss, mean over the episodes of {window} outer steps", fontsize=10)
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)
