"""Speed-up in steps on kinds of networks that are in no family and no suite.

Adam(1e-3) makes STEPS steps and tests every SPACING steps. The target is the lowest median of
NEIGHBOURS consecutive tests, so that no single lucky test sets it. The baseline reaches it at the
first test that is as low. The policy, and the same driver with constant rates, then train to it
from the same weights. Only steps are compared, since times depend on the machine and its load.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import torch

from benchmarks.networks import KINDS, Kind, KindTask
from benchmarks.origin import sentence
from benchmarks.settings import PolicySettings
from benchmarks.steps import FixedBatch
from checkpoints_to_source.report.measured import counted_speedups, log_ratio
from checkpoints_to_source.train_file import HAND_SET
from evaluate.run.counting import Recorder
from evaluate.sandbox.limits import LimitReached
from policy.checkpoint import Policy, load_policy
from policy.driver.run import run
from tasks import Done
from tasks.reference import tested_steps
from writing.markdown import table as table_of
from writing.statistics import grouped, mean_cell

NAME, PAGE = "kinds", "docs/kinds.md"
RULES = "the policy", "constant rates"
HEADER = ("kind", "parameters", "Adam's steps", *RULES)
STEPS, SPACING, NEIGHBOURS = 1_000, 25, 5
LIMIT = 4.0  # multiple of the baseline's steps after which a run is a miss


@dataclass(frozen=True, kw_only=True)
class Settings(PolicySettings):
    """Run a policy and constant rates on many kinds of networks."""

    seeds: int = 3
    """Initial weights and orders of batches."""


def jobs(settings: Settings) -> list[tuple]:
    """Return kinds and seeds, with both rules."""
    policies = [load_policy(settings.policy), Policy(HAND_SET, None)]
    return [(kind, seed, policies) for kind in KINDS for seed in range(settings.seeds)]


def measure(job: tuple) -> list[dict]:
    """Return the result's row of one kind: a run of each policy, steps null for a miss."""
    kind, seed, policies = job
    make = KINDS[kind]
    task = KindTask(make, seed)
    target, reached = bar(task)
    row = {
        "kind": kind,
        "seed": seed,
        "parameters": sum(weight.numel() for weight in task.state),
        "target": target,
        "baseline": reached,
        "steps": [steps_to(make, seed, target, int(LIMIT * reached), p) for p in policies],
    }
    return [row]


def bar(task: KindTask) -> tuple[float, int]:
    """Train the task with the baseline; return the target and the first step that tests as low."""
    found = list(tested_steps(task, range(SPACING, STEPS + 1, SPACING)))
    losses = [loss for _, loss in found]
    starts = range(len(losses) - NEIGHBOURS + 1)
    target = min(statistics.median(losses[i : i + NEIGHBOURS]) for i in starts)
    return target, next(step for step, loss in found if loss <= target)


def steps_to(
    make: Callable[[], Kind], seed: int, target: float, most: int, policy: Policy
) -> int | None:
    """Return the steps to a test loss below the target, None for a miss."""
    task, recorder = KindTask(make, seed, target), Recorder()
    torch.manual_seed(seed)
    try:
        run(FixedBatch(task, recorder, most), *policy)
    except Done:
        return recorder.steps
    except (LimitReached, RuntimeError):  # RuntimeError: the loss stays NaN
        return None


def about(settings: Settings, rows: list[dict]) -> dict:
    return {"limit": LIMIT}


def table(result: dict) -> str:
    """Return one row per kind and one for all, both rules side by side, and the origin."""
    by_kind, limit = grouped(result["rows"], "kind"), result["limit"]
    rows = [_row(kind.replace("_", " "), runs) for kind, runs in by_kind.items()]
    means = [_mean(result["rows"], rule, limit) for rule in (0, 1)]
    rows.append(["harmonic mean", "", "", *means])
    ratio = mean_cell([log_ratio(runs, limit) for runs in by_kind.values()])
    ratios = f"Steps of constant rates over the policy's: {ratio}, geometric mean over the kinds."
    return f"{table_of(HEADER, rows)}\n\n{ratios} {sentence(result)}"


def _row(kind, runs):
    steps = sorted(run["baseline"] for run in runs)
    cells = [", ".join(f"{x:.2f}" if x else "miss" for x in speedups(runs, i)) for i in (0, 1)]
    between = f"{steps[0]} to {steps[-1]}" if steps[0] < steps[-1] else str(steps[0])
    return [kind, f"{runs[0]['parameters']:,}", between, *cells]


def speedups(runs: list[dict], rule: int) -> list[float | None]:
    """Return the speed-up of each run, None for a miss."""
    found = [(run["baseline"], run["steps"][rule]) for run in runs]
    return [baseline / steps if steps else None for baseline, steps in found]


def _mean(runs, rule, limit):
    found, mean = (
        speedups(runs, rule),
        statistics.harmonic_mean(counted_speedups(runs, rule, limit)),
    )
    slow = sum(x is None or x < 1 for x in found)
    missed = found.count(None)
    return f"{mean:.2f}; {slow} slower than Adam, of {len(found)}, {missed} missed"
