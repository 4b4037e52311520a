"""Runs of the same weights in several evaluations of a suite, put together.

A line of the result file is an evaluation that `python -m evaluate pack` wrote, at a commit of its
own: the drivers around the weights may differ. Add one when it is whole. A repeat in which the
baseline missed the target counts for no one, as in the score.

Repeats of one number have the same initial weights and batch order in every evaluation, so their
runs are not independent: geometric means are over these runs, then over the pair's initial weights,
each of which counts once; over the pairs it is the harmonic mean. 95 % bootstrap intervals draw
initial weights within a pair, the pairs being fixed.
"""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import settings
from benchmarks.statistics import interval, with_interval
from evaluate.score.results import Result, load_all
from evaluate.score.standing import comparable
from writing.markdown import table as table_of

NAME, PAGE = "pooled_runs", "docs/results.md"
RESULT = Path("docs/results/pooled_runs.jsonl")
RESAMPLES = 4000
BASELINE, OURS, CONSTANT = range(3)
WORDS = {"seconds": "time", "steps": "steps"}
TRAIN, POLICY_FREE = "train", "policy_free"
MEASURES = ("seconds", "steps")


@dataclass(frozen=True, kw_only=True)
class Settings(settings.Settings):
    """Add the runs of an evaluation to those of earlier ones."""

    evaluation: Path = Path("docs/results/validation.jsonl")
    """A packed evaluation of train.py and policy_free."""


def jobs(settings: Settings) -> list[dict]:
    """What the evaluation has, a part for each commit."""
    groups = comparable(load_all(settings.evaluation))
    return [part for group in groups for part in gathered(group)]


def measure(part: dict) -> list[dict]:
    """A part is a row."""
    return [part]


def key(part: dict) -> tuple:
    """Which evaluation it is."""
    return part["suite"], part["commit"], part["date"], part["hardware"]["cpu"]


def gathered(results: Iterable[Result]) -> list[dict]:
    """Of runs that may be compared: where and when, and seconds and steps by pair and repeat.

    A part for each commit that ours ran at: an evaluation may have been resumed at another.
    """
    runs = {(one.pair, one.repeat, one.role, one.submission): one for one in results}
    slots = {(one.pair, one.repeat): one for one in results if one.role == "baseline"}
    parts = {}
    for pair, repeat in sorted(slots):
        names = (("submission", TRAIN), ("submission", POLICY_FREE))
        ours, constant = (runs.get((pair, repeat, *name)) for name in names)
        if not (ours and constant):
            continue  # not run yet
        found = slots[pair, repeat], ours, constant
        part = parts.setdefault(ours.git["commit"], _part(ours))
        part["date"] = min(part["date"], ours.started_at[:10])
        if not found[0].reached:
            part["left out"] += 1
            continue
        row = {"pair": pair, "repeat": repeat, **{m: _taken(found, m) for m in MEASURES}}
        part["runs"].append(row)
    return sorted(parts.values(), key=lambda part: part["date"])


def _part(one):
    return {
        "suite": one.suite,
        "commit": one.git["commit"],
        "date": one.started_at[:10],
        "hardware": one.hardware,
        "versions": one.versions,
        "left out": 0,
        "runs": [],
    }


def _taken(found, measure):
    """By baseline, ours and constant rates; None where the target was missed."""
    return [getattr(one, measure) if one.reached else None for one in found]


def log_ratios(result: dict, measure: str, other: int, ours: int) -> dict:
    """Of each pair and repeat, the logarithms of the other's measure over ours, a list of runs;
    -inf where ours missed, none where the other did."""
    ratios = defaultdict(lambda: defaultdict(list))
    for evaluation in result["rows"]:
        for run in evaluation["runs"]:
            a, b = run[measure][other], run[measure][ours]
            if a is not None:
                found = ratios[run["pair"]][run["repeat"]]
                found.append(-math.inf if b is None else math.log(a / b))
    return ratios


def means_of_repeats(ratios: dict) -> dict:
    """Of each pair, the mean over the runs of each repeat."""
    return {pair: [np.mean(runs) for runs in found.values()] for pair, found in ratios.items()}


def mean_and_interval(ratios: dict) -> tuple:
    """The harmonic mean over pairs of their geometric means, and the ends of its interval."""
    of_pairs = [np.array(of) for of in means_of_repeats(ratios).values()]

    def mean(*of_pairs, axis):
        with np.errstate(divide="ignore"):  # a miss is a speed-up of zero
            return 1 / np.mean([1 / np.exp(of.mean(axis)) for of in of_pairs], 0)

    return mean(*of_pairs, axis=-1), *interval(of_pairs, mean, resamples=RESAMPLES)


def table(result: dict) -> str:
    """Three tables: means, constant rates on each pair, and where the runs come from."""
    rows = []
    for name, other, ours in (
        ("speed-up of `train` over the baseline", BASELINE, OURS),
        ("speed-up of `policy_free`", BASELINE, CONSTANT),
        ("what `policy_free` takes over what `train` takes", CONSTANT, OURS),
    ):
        found = [mean_and_interval(log_ratios(result, m, other, ours)) for m in MEASURES]
        rows.append([name, *(with_interval(mean, bounds) for mean, *bounds in found)])
    means = table_of(["", *(f"in {WORDS[m]}" for m in MEASURES)], rows)
    by_pair = {m: log_ratios(result, m, CONSTANT, OURS) for m in MEASURES}
    pairs = list(by_pair["steps"])
    rows = [
        [f"`policy_free` over `train` in {WORDS[m]}"]
        + [f"{math.exp(np.mean(of)):.2f}" for of in means_of_repeats(by_pair[m]).values()]
        for m in MEASURES
    ]
    rows.append(["initial weights", *(str(len(by_pair["steps"][pair])) for pair in pairs)])
    rows.append(["runs", *(str(len(_all_runs(by_pair["steps"][pair]))) for pair in pairs)])
    return f"{means}\n\n{table_of(['', *pairs], rows)}\n\n{_origin(result)}"


def _all_runs(repeats):
    return [run for runs in repeats.values() for run in runs]


def _origin(result):
    speed_ups = log_ratios(result, "seconds", BASELINE, OURS).values()
    slowest = min(min(_all_runs(repeats)) for repeats in speed_ups)
    parts = [
        f"{len(one['runs'])} at commit {one['commit'][:7]} ({one['hardware']['cpu']}, {one['date']}"
        + (f"; {one['left out']} left out, as the baseline missed)" if one["left out"] else ")")
        for one in result["rows"]
    ]
    runs = [run for one in result["rows"] for run in one["runs"]]
    missed = sum(run["steps"][CONSTANT] is None for run in runs)
    lost = f"`policy_free` missed {missed}, which its row over `train` lacks. " if missed else ""
    return (
        f"The slowest run of `train` is {math.exp(slowest):.2f} times as fast as its baseline. "
        f"{lost}Runs: {', '.join(parts)}."
    )
