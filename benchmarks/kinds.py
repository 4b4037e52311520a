"""Speed-up in steps on networks of kinds that no family and no suite has.

Adam(1e-3) makes STEPS steps, tested every SPACING. The target is the lowest median of NEIGHBOURS
tests in a row, so that no lucky test sets it; the baseline reaches it where a test is first as low.
The policy, and the same driver with constant rates, then train towards it from the same weights.
Steps only: how long they take depends on the machine, and on what else it does.
"""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.networks import KINDS, Kind, KindTask
from benchmarks.origin import sentence
from benchmarks.results import grouped
from benchmarks.settings import PolicySettings
from benchmarks.statistics import geometric_mean, with_interval
from benchmarks.steps import steps_taken
from checkpoints_to_source.train_file import HAND_SET
from policy.checkpoint import Policy, load_policy
from tasks.reference import tested_steps
from writing.markdown import table as table_of

NAME, PAGE = "kinds", "docs/kinds.md"
RULES = "the policy", "constant rates"
HEADER = ("kind", "parameters", "Adam's steps", *RULES)
STEPS, SPACING, NEIGHBOURS = 1_000, 25, 5
LIMIT = 4.0  # times the baseline's steps: beyond, a run is a miss


@dataclass(frozen=True, kw_only=True)
class Settings(PolicySettings):
    """Run a policy and constant rates on networks of all kinds."""

    kinds: tuple[str, ...] = tuple(KINDS)
    """Names of those to run."""

    seeds: int = 3
    """Initial weights and orders of batches."""


def jobs(settings: Settings) -> list[tuple]:
    """Kinds and seeds, with both rules."""
    policies = [load_policy(settings.policy), Policy(HAND_SET, None)]
    return [(kind, seed, policies) for kind in settings.kinds for seed in range(settings.seeds)]


def measure(job: tuple) -> list[dict]:
    """One run of each policy on one kind: its row of the result, steps null for a miss."""
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
    """The target, and the step at which the baseline, which trains the task, first tests as low."""
    found = list(tested_steps(task, range(SPACING, STEPS + 1, SPACING)))
    losses = [loss for _, loss in found]
    starts = range(len(losses) - NEIGHBOURS + 1)
    target = min(statistics.median(losses[i : i + NEIGHBOURS]) for i in starts)
    return target, next(step for step, loss in found if loss <= target)


def steps_to(
    make: Callable[[], Kind], seed: int, target: float, most: int, policy: Policy
) -> float | None:
    """Steps to a test loss below the target, or None."""
    task = KindTask(make, seed, target)
    torch.manual_seed(seed)
    try:
        steps = steps_taken(task, most, *policy)
    except RuntimeError:  # the loss stays NaN
        return None
    return steps if steps < math.inf else None


def about(settings: Settings, rows: list[dict]) -> dict:
    return {"limit": LIMIT}


def table(result: dict) -> str:
    """One row a kind, one for all, both rules beside each other, where the numbers come from."""
    by_kind = grouped(result["rows"], "kind")
    rows = [_row(kind.replace("_", " "), runs) for kind, runs in by_kind.items()]
    rows.append(["harmonic mean", "", "", *(_mean(result, i) for i in range(len(RULES)))])
    ratio = with_interval(*geometric_mean(_log_ratios(result, by_kind)))
    ratios = f"Steps of constant rates over the policy's: {ratio}, geometric mean over the kinds."
    return f"{table_of(HEADER, rows)}\n\n{ratios} {sentence(result)}"


def _row(kind, runs):
    steps = sorted(run["baseline"] for run in runs)
    cells = [", ".join(f"{x:.2f}" if x else "miss" for x in speedups(runs, i)) for i in (0, 1)]
    between = f"{steps[0]} to {steps[-1]}" if steps[0] < steps[-1] else str(steps[0])
    return [kind, f"{runs[0]['parameters']:,}", between, *cells]


def speedups(runs: list[dict], rule: str) -> list[float | None]:
    """Of each run, None for a miss."""
    found = [(run["baseline"], run["steps"][rule]) for run in runs]
    return [baseline / steps if steps else None for baseline, steps in found]


def _log_ratios(result, by_kind):
    """Of the speed-ups, mean over the runs of a kind, `[kinds]`."""
    pairs = [[_counted(result, runs, rule) for rule in (0, 1)] for runs in by_kind.values()]
    return np.array([np.log(ours).mean() - np.log(other).mean() for ours, other in pairs])


def _counted(result, runs, rule):
    """Speed-ups; a miss counts as a run that takes as long as the limit."""
    return [x or 1 / result["limit"] for x in speedups(runs, rule)]


def _mean(result, rule):
    found = speedups(result["rows"], rule)
    mean = statistics.harmonic_mean(_counted(result, result["rows"], rule))
    slow = sum(x is not None and x < 1 for x in found)
    return f"{mean:.2f}; {found.count(None)} misses, {slow} slower than Adam, of {len(found)}"
