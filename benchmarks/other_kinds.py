"""Speed-up in steps on networks of kinds that no family and no suite has.

    python -m benchmarks.other_kinds checkpoints/policy.safetensors --out docs/results/kinds.json
    python -m benchmarks.kinds_table docs/results/kinds.json docs/kinds.md

Adam(1e-3) makes STEPS steps, tested every SPACING. The target is the lowest median of NEIGHBOURS
tests in a row, so that no lucky test sets it; the baseline reaches it where a test is first as low.
The policy, and the same driver with constant rates, then train towards it from the same weights.
Steps only: how long they take depends on the machine, and on what else it does.
"""

import math
import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
import tyro

from benchmarks.kinds import KINDS, KindTask
from benchmarks.kinds_table import markdown
from benchmarks.page import stamp
from benchmarks.scaling import steps_taken
from checkpoints_to_source.train_file import HAND_SET
from policy.checkpoint import Policy, digest, load_policy
from tasks.reference import tested_steps
from writing.files import write_json

STEPS, SPACING, NEIGHBOURS = 1_000, 25, 5
LIMIT = 4.0  # times the baseline's steps: beyond, a run is a miss


def main(
    policy: tyro.conf.Positional[Path],
    out: Path = Path("runs/kinds.json"),
    kinds: tuple[str, ...] = tuple(KINDS),
    seeds: int = 3,
    processes: int = 2,
) -> None:
    """Run a policy and constant rates on all kinds.

    Args:
        policy: policy file.
        out: results, as JSON.
        kinds: names of those to run.
        seeds: initial weights and orders of batches.
        processes: that run at the same time.
    """
    learned = load_policy(policy)
    policies = [learned, Policy(HAND_SET, None)]
    jobs = [(kind, seed, policies) for kind in kinds for seed in range(seeds)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(measure, jobs))
    result = {**stamp("cpu", 0), "policy sha256": digest(learned), "limit": LIMIT, "rows": rows}
    write_json(out, result)
    print(markdown(result))


def measure(job):
    """One run of each policy on one kind: its row of the result, steps null for a miss."""
    kind, seed, policies = job
    torch.set_num_threads(1)
    make = KINDS[kind]
    task = KindTask(make, seed)
    target, reached = bar(task)
    return {
        "kind": kind,
        "seed": seed,
        "parameters": sum(weight.numel() for weight in task.state),
        "target": target,
        "baseline": reached,
        "steps": [steps_to(make, seed, target, int(LIMIT * reached), p) for p in policies],
    }


def bar(task):
    """The target, and the step at which the baseline, which trains the task, first tests as low."""
    found = list(tested_steps(task, range(SPACING, STEPS + 1, SPACING)))
    losses = [loss for _, loss in found]
    starts = range(len(losses) - NEIGHBOURS + 1)
    target = min(statistics.median(losses[i : i + NEIGHBOURS]) for i in starts)
    return target, next(step for step, loss in found if loss <= target)


def steps_to(make, seed, target, most, policy):
    """Steps to a test loss below the target, or None."""
    task = KindTask(make, seed, target)
    torch.manual_seed(seed)
    try:
        steps = steps_taken(task, most, *policy)
    except RuntimeError:  # the loss stays NaN
        return None
    return steps if steps < math.inf else None


if __name__ == "__main__":
    tyro.cli(main)
