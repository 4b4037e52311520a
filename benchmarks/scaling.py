"""Speed-up in steps against the length of a run and against the size of the network.

A policy is meta-trained on runs of at most a few thousand steps and on small networks. Earlier
learned optimizers failed beyond theirs. Here Adam(1e-3) runs once for each task and seed, with
tests 4 % apart; a horizon is a step of its run, and the target is the lowest test loss until then.
The policy, and the same driver with constant rates, then train from the start towards each target.
Steps only: how long they take depends on the machine, and on what else it does. (So do they, a
little: by the clock the driver chooses when to test, and whether to divide wide matrices.)
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.settings import PolicySettings
from benchmarks.steps import steps_taken
from checkpoints_to_source.train_file import HAND_SET
from policy.checkpoint import Policy, load_policy
from policy.rule.spec import Spec
from tasks import Variant, build_task
from tasks.baseline import steps_to_test
from tasks.reference import tested_steps
from tasks.table import weights

NAME, PAGE = "scaling", "docs/results.md"
LIMIT = 2.0  # times the baseline's steps: beyond, a run is a miss
_TEXT = {"alphabet": "ascii", "context": 32, "train": 400_000, "test": 12_801}
_IMAGES = {"pixels": 14, "train": 10_000, "test": 2_000}
LONG = {
    "Elman net, text": Variant(
        "elman_lm", "topics", arch={"width": 64}, data_options=_TEXT, batch_size=16
    ),
    "LSTM, text": Variant(
        "rnn_lm", "topics", arch={"width": 64}, data_options=_TEXT, batch_size=16
    ),
    "transformer, text": Variant(
        "transformer_lm", "topics", arch={"depth": 1}, data_options=_TEXT, batch_size=16
    ),
}
HORIZONS = (300, 1_000, 3_000, 10_000)
LARGE = {
    "CNN, images": [
        Variant("cnn", "fashion", arch={"width": width}, data_options=_IMAGES, batch_size=32)
        for width in (8, 24, 72)
    ],
    "residual MLP, images": [
        Variant(
            "residual_mlp", "fashion", arch={"width": width}, data_options=_IMAGES, batch_size=32
        )
        for width in (32, 128, 512)
    ],
    "transformer, text": [
        Variant(
            "transformer_lm", "topics", arch={"head_width": width}, data_options=_TEXT, batch_size=8
        )
        for width in (8, 32, 128)
    ],
}
HORIZON_OF_LARGE = 600

AXES = {
    "horizon": "steps of Adam(1e-3) to the target",
    "parameters": "parameters",
}
LINES = {"learned": "-", "constant": ":"}


@dataclass(frozen=True, kw_only=True)
class Settings(PolicySettings):
    """Measure speed-ups of a policy and of constant rates."""

    seeds: int = 3
    """Initial weights and orders of batches; rows give median, lowest and highest."""


class Case(NamedTuple):
    """kind: what is varied, "horizon" or "size". horizon: the baseline's steps."""

    kind: str
    task: str
    variant: Variant
    horizon: int


def jobs(settings: Settings) -> list[tuple]:
    """Groups of cases that have one baseline, with seeds and the policy."""
    learned = load_policy(settings.policy)
    groups = {}
    for case in cases():
        build_task(case.variant)  # data that is not there is rather found out now than after hours
        groups.setdefault(case.variant.digest, []).append(case)
    return [(group, settings.seeds, learned) for group in groups.values()]


def measure(job: tuple) -> list[dict]:
    """A row of each case."""
    group, seeds, policy = job
    runs = [seeded(group, seed, policy) for seed in range(seeds)]
    return [row(case, found) for case, found in zip(group, zip(*runs, strict=True), strict=True)]


def seeded(group: list[Case], seed: int, policy: Policy) -> list[dict]:
    """Speed-ups in each case, with the initial weights of a seed."""
    group = [case._replace(variant=replace(case.variant, seed=seed)) for case in group]
    longest = max(HORIZONS) if group[0].kind == "horizon" else group[0].horizon
    curve = baseline(group[0].variant, longest)
    return [speedups(case, curve, policy) for case in group]


def about(settings: Settings, rows: list[dict]) -> dict:
    return {"n": settings.seeds}


def cases() -> list[Case]:
    """All cases."""
    long = [Case("horizon", name, v, h) for name, v in LONG.items() for h in HORIZONS]
    large = [
        Case("size", name, v, HORIZON_OF_LARGE) for name, family in LARGE.items() for v in family
    ]
    return long + large


def baseline(variant: Variant, longest: int) -> dict[int, float]:
    """Adam's test losses: step -> lowest loss until then."""
    torch.manual_seed(variant.seed)  # of the order of batches
    task = build_task(variant)
    due = {*steps_to_test(longest), *(horizon for horizon in HORIZONS if horizon <= longest)}
    lowest, found = math.inf, {}
    for step, loss in tested_steps(task, due):
        lowest = min(lowest, loss)
        found[step] = lowest
    return found


def steps_to(
    variant: Variant, target: float, most: int, spec: Spec, weights: dict[str, torch.Tensor] | None
) -> float:
    """Steps that a policy needs to a target; infinite if more than `most`."""
    torch.manual_seed(variant.seed)
    return steps_taken(build_task(replace(variant, target=target)), most, spec, weights)


def speedups(case: Case, curve: dict[int, float], policy: Policy) -> dict[str, float]:
    """Speed-ups of the policy and of constant rates in one case, 0 for a miss."""
    target = curve[case.horizon]
    # The first step of Adam's at that loss: later ones may have brought nothing.
    reached = min(step for step, loss in curve.items() if loss <= target)
    most = int(LIMIT * reached)
    rules = {"learned": policy, "constant": (HAND_SET, None)}
    return {
        name: reached / steps_to(case.variant, target, most, *rule) for name, rule in rules.items()
    }


def row(case: Case, runs: Sequence[dict]) -> dict:
    """One row of the result: per rule the median, the lowest and the highest speed-up."""
    values = {}
    for rule in runs[0]:
        each = [run[rule] for run in runs]
        values[rule] = [statistics.median(each), min(each), max(each)]
    return {
        "varied": case.kind,
        "task": case.task,
        "horizon": case.horizon,
        "parameters": weights(case.variant),
        **values,
    }


def draw(axis: Axes, rows: list[dict], along: str) -> None:
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


def figure(result: dict) -> Figure:
    """Speed-up against horizon, and against size."""
    rows = result["rows"]
    picture = Figure(figsize=(9, 3.6), dpi=110, layout="constrained")
    axes = picture.subplots(1, 2, sharey=True)
    draw(axes[0], [r for r in rows if r["varied"] == "horizon"], "horizon")
    draw(axes[1], [r for r in rows if r["varied"] == "size"], "parameters")
    axes[0].set_ylabel("speed-up in steps (solid: learned,\ndotted: constant rates)")
    return picture
