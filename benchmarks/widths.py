"""Processor time of the driver and of Adam on perceptrons, against their width.

A perceptron uses each weight once a sample, so that an update takes a large part of a step.
In turn, Adam(1e-3) makes the steps after which its test loss is lowest, without the time of any
test, and the driver trains to that loss, its tests included.
"""

import time
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.batch_sizes import Watched, in_turn, race_on, seconds, timed
from benchmarks.origin import sentence
from benchmarks.results import grouped
from benchmarks.settings import PolicySettings
from policy.checkpoint import load_policy
from tasks import Task, Variant, build_task
from tasks.reference import steps_of
from tasks.table import weights
from writing.markdown import table as table_of

NAME, PAGE = "widths", "docs/driver.md"
HEADER = "width", "weights", "Adam's seconds", "the policy's", "times as fast", "in steps"
WIDTHS = 64, 128, 256, 512, 1024
STEPS = 1_500  # of Adam, to look for its lowest test loss
IMAGES = {"pixels": 28, "test": 2_000}


@dataclass(frozen=True, kw_only=True)
class Settings(PolicySettings):
    """Run Adam and a policy on perceptrons of all widths, on Fashion-MNIST."""

    seeds: int = 3
    """Initial weights and orders of batches."""


def jobs(settings: Settings) -> list[tuple]:
    """Widths and seeds, with the policy."""
    learned, seeds = load_policy(settings.policy), range(settings.seeds)
    return [(perceptron(width), seed, STEPS, learned) for width in WIDTHS for seed in seeds]


def perceptron(width: int) -> Variant:
    """Two hidden layers of this width, at batch 64."""
    arch = {"width": width, "depth": 2}
    return Variant("mlp", "fashion", arch=arch, data_options=IMAGES, batch_size=64)


def measure(job: tuple) -> list[dict]:
    """Seconds and steps of Adam and of the policy, to a loss that Adam finds in so many steps."""
    variant, seed, steps, policy = job
    width = dict(variant.arch)["width"]
    race = race_on(f"width {width}", replace(variant, seed=variant.seed + seed), steps)
    aimed = replace(race.variant, target=race.target)
    runs = {
        "adam": lambda: adams(build_task(aimed), race.steps),
        "policy": lambda: timed(Watched, build_task(aimed), seed, policy),
    }
    row = {"width": width, "seed": seed, "weights": weights(variant)}
    return [{**row, **{name: runs[name]() for name in in_turn(runs, seed)}}]


def adams(task: Task, steps: int) -> dict:
    """Processor time of so many steps of the baseline, without tests."""
    begin = time.process_time()
    for _ in zip(range(steps), steps_of(task), strict=False):
        pass
    return {"seconds": time.process_time() - begin, "steps": steps}


def table(result: dict) -> str:
    """One row a width, and where the numbers come from."""
    by_width = grouped(result["rows"], "width")
    content = table_of(HEADER, [_row(width, runs) for width, runs in by_width.items()])
    n = len(next(iter(by_width.values())))
    return f"{content}\n\nn = {n}. {sentence(result)}"


def _row(width, runs):
    adam = ", ".join(f"{run['adam']['seconds']:.2f}" for run in runs)
    policy = ", ".join(seconds(run["policy"]) for run in runs)
    gains = [_gain(runs, unit) for unit in ("seconds", "steps")]
    return [str(width), f"{runs[0]['weights']:,}", adam, policy, *gains]


def _gain(runs, unit):
    """Geometric mean of the runs; of one that missed nothing is known."""
    logs = [
        np.log(run["adam"][unit] / run["policy"][unit]) for run in runs if run["policy"]["reached"]
    ]
    return f"{np.exp(np.mean(logs)):.2f}" if len(logs) == len(runs) else "-"
