"""Tables of final losses, and of when LearnedLR reaches those of its peers."""

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.practice.jobs import CASE, best, final
from benchmarks.practice.networks import NETWORKS
from benchmarks.practice.optimizers import DEFAULT, OPTIMIZERS
from writing.markdown import table as table_of
from writing.statistics import geometric_mean, grouped, with_interval

OURS = "learned"
LEAST = 3  # seeds, or networks, needed for an interval
SUMMARY = (
    "against",
    "LearnedLR's final loss over its",
    "the highest",
    "LearnedLR reaches its loss on",
    "times as fast there in steps",
    "in time",
    "the slowest",
)
DETAILS = (
    "network, optimizer",
    "setting",
    "n",
    "final loss",
    "accuracy",
    "LearnedLR's loss over it",
    "LearnedLR reaches it, times as fast in steps",
    "in time",
    "a step over AdamW's",
    "float32 a weight",
)


class Entry:
    """An optimizer on a network: the runs with its best setting, by seed.

    They are compared with LearnedLR's runs on the seeds that both have.

    loss_ratios: logs of LearnedLR's final loss over this optimizer's.
    speed_ups: logs of this optimizer's steps over the steps that LearnedLR needs to reach its final
        loss, for the seeds where it does.
    step: the time of a step relative to AdamW's.
    """

    def __init__(self, rows: Sequence[dict], ours: dict[int, dict]) -> None:
        settings = grouped(rows, "setting")
        first = grouped([row for row in rows if row["seed"] == 0], "setting")
        self.tried, self.setting = list(settings), best(first)
        self.runs = {run["seed"]: run for run in settings[self.setting]}
        pairs = [(ours[seed], run) for seed, run in self.runs.items() if seed in ours]
        self.loss_ratios = np.array([math.log(final(a) / final(b)) for a, b in pairs])
        steps = [(reached(a, final(b)), b["steps"]) for a, b in pairs]
        self.speed_ups = np.array([math.log(b / a) for a, b in steps if a is not None])
        self.always_reached = len(self.speed_ups) == len(pairs)
        self.step = np.exp(np.mean(np.log([r["step_over_adamw"] for r in self.runs.values()])))

    def told(self) -> str:
        """Return the setting, how many were tried, and whether it ends the range of rates."""
        if len(self.tried) == 1:
            return self.setting
        rates = [] if DEFAULT in self.tried else sorted(self.tried, key=float)
        end = "the highest " if self.setting in rates[-1:] else ""
        end = "the lowest " if self.setting in rates[:1] else end
        return f"{self.setting} ({end}of {len(self.tried)})"


def reached(run: dict, loss: float) -> float | None:
    """Return the step at which a run first reaches a loss, interpolated between two tests."""
    before = None
    for found, step in zip(run["curve"]["loss"], run["curve"]["step"], strict=True):
        if found is not None and found <= loss:
            if before is None or before[0] == found:
                return step
            return before[1] + (before[0] - loss) / (before[0] - found) * (step - before[1])
        before = None if found is None else (found, step)
    return None


def table(result: dict) -> str:
    """Return the summary over networks, each network, and the origin of the numbers."""
    cases = entries(result["rows"])
    if not cases:
        return "No network has runs of LearnedLR and of another optimizer yet."
    return "\n\n".join([summary(cases), _details(cases), origin(result["rows"])])


def entries(rows: Sequence[dict]) -> dict[tuple, dict[str, Entry]]:
    """Return (network, budget, width) -> optimizer -> its entry, in the order of OPTIMIZERS.

    LearnedLR comes last, with the runs of its latest policy only. Networks without it, or without a
    peer, are left out.
    """
    latest = [row["policy"] for row in rows if row["optimizer"] == OURS][-1:]
    rows = [row for row in rows if row["policy"] in (None, *latest)]
    cases = {}
    for (network, optimizer, *scale), mine in grouped(rows, *CASE).items():
        if any(row["seed"] == 0 for row in mine):
            cases.setdefault((network, *scale), {})[optimizer] = mine
    return {
        case: _compared(found) for case, found in cases.items() if len(found) > 1 and OURS in found
    }


def _compared(found):
    ours = Entry(found[OURS], {})
    peers = {name: Entry(found[name], ours.runs) for name in OPTIMIZERS if name in found}
    return {**peers, OURS: ours}


def at_scale(
    cases: dict[tuple, dict[str, Entry]], budget: int = 1, width: int = 1
) -> dict[str, dict[str, Entry]]:
    """Return network -> optimizer -> its entry, for one budget and width."""
    wanted = [budget, width]
    return {network: found for (network, *scale), found in cases.items() if scale == wanted}


def summary(cases: dict[tuple, dict[str, Entry]]) -> str:
    """Return one row per peer and scale: geometric means over the networks."""
    rows = []
    for scale in sorted({tuple(scale) for _, *scale in cases}):
        found = at_scale(cases, *scale).values()
        for name in OPTIMIZERS:
            mine = [optimizers for optimizers in found if name in optimizers and name != OURS]
            if mine:
                told = ", ".join([OPTIMIZERS[name].name, *_scale_words(*scale)])
                rows.append([told, *_means(mine, name)])
    return table_of(SUMMARY, rows, numbers_right=True)


def _scale_words(budget, width):
    return [f"{n} times the {what}" for n, what in ((budget, "steps"), (width, "width")) if n > 1]


def _means(mine, name):
    ratios = np.array([found[name].loss_ratios.mean() for found in mine])
    reaching = [found for found in mine if found[name].always_reached]
    cells = [_mean(ratios), f"{math.exp(ratios.max()):.2f}", f"{len(reaching)} of {len(mine)}"]
    if not reaching:
        return [*cells, "", "", ""]
    steps = np.array([found[name].speed_ups.mean() for found in reaching])
    times = steps - np.log([found[OURS].step / found[name].step for found in reaching])
    return [*cells, _mean(steps), _mean(times), f"{math.exp(times.min()):.2f}"]


def _mean(logs):
    """Return the geometric mean, with an interval if there are enough values."""
    mean, bounds = geometric_mean(logs)
    return with_interval(mean, bounds) if len(logs) >= LEAST else f"{mean:.2f}"


def _details(cases):
    rows = []
    for (network, *scale), found in cases.items():
        run = found[OURS].runs[0]
        told = [f"{run['weights']:,} weights", f"{run['steps']:,} steps", *_scale_words(*scale)]
        title = f"**{NETWORKS[network].name}** ({', '.join(told)})"
        rows.append([title, *[""] * (len(DETAILS) - 1)])
        rows += [_row(name, found[name], found[OURS]) for name in OPTIMIZERS if name in found]
    return table_of(DETAILS, rows)


def _row(name, entry, ours):
    run, runs = entry.runs[0], entry.runs.values()
    loss = f"{np.mean([final(one) for one in runs]):.3g}"
    hits = "" if run["accuracy"] is None else f"{np.mean([r['accuracy'] for r in runs]):.3f}"
    against = ["", "", ""] if name == OURS else _against(entry, ours)
    cells = [OPTIMIZERS[name].name, entry.told(), str(len(runs)), loss, hits, *against]
    return [*cells, f"{entry.step:.2f}", f"{run['state'] / 4:.1f}"]


def _against(entry, ours):
    """Return the loss ratio, and the speed-up in steps and in time, of LearnedLR over a peer."""
    loss = _mean(entry.loss_ratios)
    if not entry.always_reached:
        return [loss, f"{len(entry.speed_ups)} of {len(entry.loss_ratios)} reach it", ""]
    times = entry.speed_ups - math.log(ours.step / entry.step)
    return [loss, _mean(entry.speed_ups), _mean(times)]


def origin(rows: Sequence[dict]) -> str:
    """Return processors, versions and commits of the runs."""
    cpu, torch, commit = (
        ", ".join(sorted({row[name] for row in rows})) for name in ("cpu", "torch", "commit")
    )
    return (
        f"{counted(rows)} Of a grid the setting that was best on the first seed. Processor time, "
        f"one thread; the times of steps were taken alternately with AdamW's. {cpu}; torch {torch}"
        f"; commit {commit}."
    )


def counted(rows: Sequence[dict]) -> str:
    """Return the number of seeds, and what the ratios and intervals are."""
    seeds = len({row["seed"] for row in rows})
    return (
        f"Up to {seeds} seeds. Ratios are geometric means, with 95 % intervals where they are of "
        f"{LEAST} networks or seeds or more."
    )
