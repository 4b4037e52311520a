"""The README's picture and table: the time to the target of held-out pairs.

Both show one evaluation of the suite `validation`, from `make validation`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from evaluate.provenance import short_commit
from evaluate.score.results import Result, load_all
from evaluate.score.score import bootstrap_interval, mean_speed_up, speed_up
from evaluate.score.standing import Standing, comparable, runs_of, standings
from evaluate.show.board import interval_cell, repeats
from evaluate.show.plots.losses import TARGET_STYLE
from evaluate.show.plots.style import BASELINE_COLOUR, COLOURS, middle, panels, plain_ticks
from writing.markdown import prose
from writing.markdown import table as table_of

NAME, PAGE = "headline", "README.md"
RESULT = Path("docs/results/validation.jsonl")
OURS, CONSTANT = "train", "policy_free"
NAMES = {
    OURS: "`train.py`",
    CONSTANT: "`train.py` with constant rates",
    "learned_lr": "`LearnedLR` in a plain loop",
    "muon_averaged": "Muon, averaged",
    "soap_averaged": "SOAP, averaged",
    "adam_3e3_averaged": "Adam at 3e-3, averaged",
}
HEADER = ["method", "speed-up in time", "95 % interval", "in steps", "slowest pair", "reached"]
#: Methods in the picture besides the baseline, and their labels.
SHOWN = {OURS: "train.py", "learned_lr": "LearnedLR", "muon_averaged": "Muon", "adam": "Adam 1e-3"}


def read_result(path: Path) -> list[Result]:
    """Return the runs of a packed evaluation, all of which are comparable."""
    (group,) = comparable(load_all(path))
    return group


def table(group: Sequence[Result]) -> str:
    """Return the headline as a sentence, one row per method, and the origin of the numbers."""
    found = standings(group)
    scores = {one.name: mean_speed_up(one.costs("seconds")) for one in found}
    ends = bootstrap_interval(_named(found, OURS).costs("seconds"))
    within = f" (95 % interval {interval_cell(ends)})" if ends else ""
    constant = scores[CONSTANT]
    sentence = (
        f"`train.py` is **{scores[OURS]:.2f} times as fast as Adam**{within}. "
        f"With constant rates, set by hand, the same driver reaches {constant:.2f}: "
        f"{100 * constant / scores[OURS]:.0f} % of this."
    )
    rows = [["Adam at 1e-3, the baseline", "1", "", "1", "1", f"{len(found[0].pairs)} pairs"]]
    rows += [_row(one) for one in found]
    parts = (
        prose(sentence),
        table_of(HEADER, rows, numbers_right=True),
        prose(_origin(group, found)),
    )
    return "\n\n".join(parts)


def figure(group: Sequence[Result]) -> Figure:
    """Return losses against seconds, on the pair whose speed-up is nearest to our mean.

    All runs shown start from the initial weights of our median run on that pair. If possible, these
    are initial weights that every method had.
    """
    pair = typical_pair(_named(standings(group), OURS))
    ours = [run for run in runs_of(group, pair, None) if run.submission == OURS]
    whole = [run for run in ours if SHOWN.keys() <= _of_repeat(group, pair, run.repeat).keys()]
    runs = _of_repeat(group, pair, middle(whole or ours).repeat)
    drawn, (panel,) = panels(1, height=3.6)
    drawn.set_figwidth(8.0)
    for (name, label), colour in zip(SHOWN.items(), [*COLOURS[:3], BASELINE_COLOUR], strict=True):
        if name in runs:
            _draw(panel, runs[name], label, colour)
    target = runs[OURS].target
    panel.axhline(target, **TARGET_STYLE)
    panel.text(1.01, target, "target", transform=panel.get_yaxis_transform(), va="center")
    panel.set_yscale("log")
    panel.set_ylim(0.8 * target, None)
    panel.set_xlim(0, None)
    plain_ticks(panel)
    panel.set(xlabel="seconds on the clock, tests included", ylabel="loss")
    panel.legend(title=f"target of {pair} reached by", frameon=False)
    return drawn


def _of_repeat(group: Sequence[Result], pair: str, repeat: int) -> dict[str, Result]:
    return {run.submission: run for run in group if (run.pair, run.repeat) == (pair, repeat)}


def typical_pair(ours: Standing) -> str:
    """Return the pair whose speed-up in time is nearest, as a ratio, to the mean over pairs."""
    mean = mean_speed_up(ours.costs("seconds"))
    costs = dict(zip(ours.pairs, ours.costs("seconds"), strict=True))
    return min(costs, key=lambda pair: abs(np.log(speed_up(costs[pair]) / mean)))


def _draw(panel: Axes, run: Result, label: str, colour: str) -> None:
    """Draw tests as a thick line and training losses as a thin one.

    Tests start at the first loss; a star marks a target that was reached.
    """
    train, test = run.train_curve, run.test_curve
    smooth = _smooth(np.array(train["loss"], dtype=float))
    panel.plot(train["seconds"], smooth, color=colour, lw=0.8, alpha=0.45)
    seconds, losses = [0.0, *test["seconds"]], [train["loss"][0], *test["loss"]]
    panel.plot(seconds, losses, color=colour, lw=2.0, marker="o", ms=3)
    end = f"{run.seconds:.1f} s" if run.reached else "not at all"
    star: Any = {"marker": "*", "ms": 14, "mec": "white", "zorder": 5} if run.reached else {}
    panel.plot(seconds[-1:], losses[-1:], color=colour, label=f"{label}: {end}", lw=2.0, **star)


def _smooth(losses: np.ndarray) -> np.ndarray:
    """Return the running median over a window of five."""
    return np.array([np.median(losses[max(0, i - 2) : i + 3]) for i in range(len(losses))])


def _named(found: Sequence[Standing], name: str) -> Standing:
    return next(one for one in found if one.name == name)


def _row(one: Standing) -> list[str]:
    seconds, steps = one.costs("seconds"), one.costs("steps")
    return [
        NAMES.get(one.name, one.name),
        f"{mean_speed_up(seconds):.2f}",
        interval_cell(bootstrap_interval(seconds)),
        f"{mean_speed_up(steps):.2f}",
        f"{min(map(speed_up, seconds)):.2f}",
        f"{sum(score.solved for score in one.pairs.values())} of {len(one.pairs)}",
    ]


def _origin(group: Sequence[Result], found: Sequence[Standing]) -> str:
    newest = group[-1]
    commits = dict.fromkeys(short_commit(run.git, 7) for run in group)
    return (
        f"Harmonic means over the pairs of medians over initial weights, n = {repeats(found)}; "
        f"{newest.hardware['cpu']}, {newest.hardware['cores']} cores, "
        f"{newest.hardware['threads']} thread, torch {newest.versions['torch']}, "
        f"{newest.started_at[:10]}, commit {', '.join(commits)}."
    )
