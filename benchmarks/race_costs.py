"""What policies cost on races of training families, with tests at fixed steps.

Averaged weights are tested at fixed steps, four percent apart, so that nothing depends on the
clock, and without the driver's rules against a plateau: a run that does not arrive within the
baseline's steps counts as one that takes as many. Steps alone are counted.
"""

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np
import torch

from benchmarks.ablation import RESAMPLES, interval
from benchmarks.batches import endless
from metalearn.races import crossing, draw_race
from policy.driver.batch_norm import may_normalise
from policy.driver.learner import Learner
from policy.driver.tester import REFRESH
from tasks import build_task

SPACING = 1.04  # of the steps that are tested
FIRST_TEST = 10
AIMED = 5  # tests after which the policy hears of a loss: the driver makes few


def race_costs(seeds, policies, processes):
    """A row for each race: its seed, its kind, and the cost of each policy.

    Args:
        seeds: ``(seed, kind)`` of each race (:func:`metalearn.races.draw_race`); some give no race,
            and no row.
        policies: of type :class:`policy.checkpoint.Policy`; weights None for constant rates.
        processes: that run races at the same time.
    """
    jobs = [(*race, policies) for race in seeds]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return [row for row in pool.map(run_all, jobs) if row]


def run_all(job):
    """Steps of each policy over the baseline's, on the race of a seed; None without a race."""
    seed, kind, policies = job
    torch.set_num_threads(1)
    race = draw_race(seed, kind)
    if race is None:
        return None
    return {
        "seed": seed,
        "family": race.variant.family,
        "kind": kind,
        "steps": race.steps,
        "costs": [steps_to_target(race, p.spec, p.weights) / race.steps for p in policies],
    }


def steps_to_target(race, spec, weights):
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


def averaged_loss(task, learner, recent):
    """Test loss of the averaged weights, running statistics renewed by the recent batches."""
    learner.show(learner.averaged)
    for batch in recent:
        task.batch_loss(batch)
    loss = task.test(task.state)
    learner.show(learner.live)
    return loss


def geometric_mean(logs, networks=None):
    """``exp`` of the mean of ``logs`` ``[n]``, and its 95 % bootstrap interval.

    ``networks`` ``[n]`` tells which of them are of one network, and so not independent: these are
    drawn together.
    """
    if networks is None:
        networks = range(len(logs))
    _, which = np.unique(networks, return_inverse=True)
    sums, counts = np.bincount(which, logs), np.bincount(which)
    drawn = np.random.default_rng(0).choice(len(sums), (RESAMPLES, len(sums)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    return float(np.exp(logs.mean())), interval(np.exp(means))
