"""What policies cost on races of training families, with tests at fixed steps.

Averaged weights are tested at fixed steps, four percent apart, so that nothing depends on the
clock, and without the driver's rules against a plateau: a run that does not arrive within the
baseline's steps counts as one that takes as many. Steps alone are counted.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch

from benchmarks.steps import endless
from metalearn.races import Race, crossing, draw_race
from policy.driver.batch_norm import may_normalise
from policy.driver.learner import Learner
from policy.driver.tester import REFRESH
from policy.rule.spec import Spec
from tasks import Batch, Task, build_task

SPACING = 1.04  # of the steps that are tested
FIRST_TEST = 10
AIMED = 5  # tests after which the policy hears of a loss: the driver makes few


def costs(job: tuple) -> list[dict]:
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
