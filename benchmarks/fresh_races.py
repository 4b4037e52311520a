"""A policy against constant rates on networks of working size that neither was made with.

    python -m benchmarks.fresh_races POLICY --out docs/results/fresh_races.json
    python -m benchmarks.races_table docs/results/fresh_races.json docs/behaviour.md

Both train the same random variants of the training families, one network at a time, to what
Adam(1e-3) reached. Some have data enough for the run (`tasks.working_size`), some little
(`tasks.scarce`). Averaged weights are tested at fixed steps, four percent apart, so that nothing
depends on the clock, and without the driver's rules against a plateau: a run that does not arrive
within the baseline's steps counts as one that takes as many. Steps alone are counted.
"""

import math
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks.ablation import RESAMPLES, interval
from benchmarks.batches import endless
from benchmarks.page import stamp
from benchmarks.races_table import markdown
from checkpoints_to_source.train_file import HAND_SET
from evaluate.files import write_json
from metalearn.races import crossing, draw_race, draw_scarce_race
from policy.batch_norm import may_normalise
from policy.checkpoint import digest, load_policy
from policy.learner import Learner
from policy.tester import REFRESH
from tasks import build_task

SEED = 7_000_000  # of the first race; not those of meta-training, calibration and other benchmarks
SPACING = 1.04  # of the steps that are tested
FIRST_TEST = 10
AIMED = 5  # tests after which the policy hears of a loss: the driver makes few


def main(
    policy: tyro.conf.Positional[Path],
    out: Path = Path("runs/fresh_races.json"),
    races: int = 100,
    scarce: int = 40,
    processes: int = 2,
) -> None:
    """Run a policy and constant rates on fresh races.

    Args:
        policy: policy file.
        out: results, as JSON.
        races: seeds to draw from; some give no race.
        scarce: seeds of races with little data.
        processes: that run races at the same time.
    """
    learned = load_policy(policy)
    jobs = [
        (SEED + i, is_scarce, learned)
        for is_scarce, count in ((False, races), (True, scarce))
        for i in range(count)
    ]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        rows = [row for row in pool.map(run_both, jobs) if row]
    result = {**stamp("cpu", SEED), "policy sha256": digest(learned), "rows": rows}
    result["families"] = summaries(rows)
    write_json(out, result)
    print(markdown(result))


def run_both(job):
    """Steps of the policy and of constant rates over the baseline's, on the race of a seed."""
    seed, is_scarce, learned = job
    torch.set_num_threads(1)
    race = draw_scarce_race(seed) if is_scarce else draw_race(seed)
    if race is None:
        return None
    costs = (
        steps_to_target(race, *method) / race.steps
        for method in ((learned.spec, learned.weights), (HAND_SET, None))
    )
    return {
        "seed": seed,
        "family": race.variant.family,
        "scarce": is_scarce,
        "steps": race.steps,
        "costs": [*costs],
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


def summaries(rows):
    """For each family and for all, with much data and with little: number of races, harmonic means
    of both speed-ups, and the geometric mean of constant rates' steps over the policy's with a 95 %
    bootstrap interval."""
    found = {}
    for scarce in sorted({row["scarce"] for row in rows}):
        alike = [row for row in rows if row["scarce"] == scarce]
        for family in [*sorted({row["family"] for row in alike}), "all"]:
            chosen = [row for row in alike if family in (row["family"], "all")]
            found[f"{family}, little data" if scarce else family] = _summary(chosen)
    return found


def _summary(rows):
    costs = np.array([row["costs"] for row in rows])
    ratios = np.log(costs[:, 1] / costs[:, 0])
    draws = np.random.default_rng(0).choice(ratios, (RESAMPLES, len(ratios))).mean(1)
    return {
        "races": len(costs),
        "speedups": (1 / costs.mean(0)).tolist(),
        "ratio": float(np.exp(ratios.mean())),
        "interval": interval(np.exp(draws)),
    }


if __name__ == "__main__":
    tyro.cli(main)
