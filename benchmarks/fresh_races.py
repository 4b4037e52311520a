"""A policy against constant rates on networks of working size that neither was made with.

Both train the same random variants of the training families, one network at a time, to what
Adam(1e-3) reached. Some have data enough for the run (`tasks.working_size`), some run for longer,
and some have little (`tasks.scarce`).

Averaged weights are tested at fixed steps, four percent apart, so that nothing depends on the
clock, and without the driver's rules against a plateau: a run that does not arrive within the
baseline's steps counts as one that takes as many. Steps alone are counted.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from benchmarks.origin import sentence
from benchmarks.settings import PolicySettings
from benchmarks.statistics import geometric_mean, with_interval
from benchmarks.steps import endless
from checkpoints_to_source.train_file import HAND_SET
from metalearn.races import KINDS, Race, crossing, draw_race
from policy.checkpoint import Policy, load_policy
from policy.driver.batch_norm import may_normalise
from policy.driver.learner import Learner
from policy.driver.tester import REFRESH
from policy.rule.spec import Spec
from tasks import Batch, Task, build_task
from writing.markdown import table as table_of

NAME, PAGE = "fresh_races", "docs/behaviour.md"
Settings = PolicySettings
HEADER = ("family", "races", "the policy", "constant rates", "steps of these over the policy's")
SEED = 7_000_000  # of the first race; not those of meta-training, calibration and other benchmarks
SUFFIXES = {"usual": "", "long": ", longer", "scarce": ", little data"}  # of a family's name
COUNTS = dict(zip(KINDS, (100, 40, 40), strict=True))  # seeds to draw from; some give no race
SPACING = 1.04  # of the steps that are tested
FIRST_TEST = 10
AIMED = 5  # tests after which the policy hears of a loss: the driver makes few


def jobs(settings: Settings) -> list[tuple]:
    """Races of each kind, the longer ones among the same seeds, with both rules."""
    policies = [load_policy(settings.policy), Policy(HAND_SET, None)]
    return [(SEED + i, kind, policies) for kind in KINDS for i in range(COUNTS[kind])]


def measure(job: tuple) -> list[dict]:
    """A row with the steps of each policy over the baseline's, on the race of a seed.

    None without a race. Weights of a policy are None for constant rates.
    """
    seed, kind, policies = job
    race = draw_race(seed, kind)
    if race is None:
        return []
    row = {
        "seed": seed,
        "family": race.variant.family,
        "kind": kind,
        "steps": race.steps,
        "costs": [steps_to_target(race, p.spec, p.weights) / race.steps for p in policies],
    }
    return [row]


def steps_to_target(race: Race, spec: Spec, weights: dict[str, torch.Tensor] | None) -> float:
    """Steps until the averaged weights test below the race's target, at most the baseline's."""
    torch.manual_seed(race.variant.seed)
    task = build_task(replace(race.variant, target=None))
    task.target_test_loss = race.target
    learner, normalises = Learner(task, spec, weights), may_normalise(task.state)
    recent, tests, due = [], [], FIRST_TEST
    for batch in endless(task):
        loss, gradients = task.batch_loss_and_gradient(batch)
        if not math.isfinite(loss):
            return race.steps
        learner.step(loss, gradients)
        recent = [*recent[1 - REFRESH :], batch] if normalises else []
        if learner.steps >= min(due, race.steps):
            tests.append((learner.steps, averaged_loss(task, learner, recent)))
            if tests[-1][1] < race.target or learner.steps >= race.steps:
                return min(crossing(tests, race.target), race.steps)
            if len(tests) % AIMED == 0:
                learner.take_aim(tests[-1][1])
            due = max(learner.steps + 1, round(SPACING * learner.steps))


def averaged_loss(task: Task, learner: Learner, recent: Sequence[Batch]) -> float:
    """Test loss of the averaged weights, running statistics renewed by the recent batches."""
    learner.show(learner.averaged)
    for batch in recent:
        task.batch_loss(batch)
    loss = task.test(task.state)
    learner.show(learner.live)
    return loss


def summaries(rows: list[dict]) -> dict:
    """For each family and for all, kind by kind: number of races, harmonic means of both speed-ups,
    and the geometric mean of constant rates' steps over the policy's with a 95 % bootstrap
    interval."""
    found = {}
    for kind in KINDS:
        alike = [row for row in rows if row["kind"] == kind]
        for family in [*sorted({row["family"] for row in alike}), "all"]:
            chosen = [row for row in alike if family in (row["family"], "all")]
            if chosen:
                found[family + SUFFIXES[kind]] = _summary(chosen)
    return found


def _summary(rows):
    costs = np.array([row["costs"] for row in rows])
    ratios = np.log(costs[:, 1] / costs[:, 0])
    ratio, interval = geometric_mean(ratios)
    return {
        "races": len(costs),
        "speedups": (1 / costs.mean(0)).tolist(),
        "ratio": ratio,
        "interval": interval,
    }


def table(result: dict) -> str:
    """One row a family, and where the numbers come from."""
    rows = [
        (
            family,
            str(row["races"]),
            *(f"{speedup:.2f}" for speedup in row["speedups"]),
            with_interval(row["ratio"], row["interval"]),
        )
        for family, row in summaries(result["rows"]).items()
    ]
    return f"{table_of(HEADER, rows)}\n\n{sentence(result)}"
