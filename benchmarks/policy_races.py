"""Policies against each other on races of training families, to choose between them.

    python -m benchmarks.policy_races A.safetensors B.safetensors --out FILE.json
    python -m benchmarks.policy_races_table docs/results/policy_races.json checkpoints/README.md

The races are like those of :mod:`benchmarks.fresh_races`, half of them with little data, and of
other seeds: a policy that was chosen here can still be measured there.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
import tyro

from benchmarks.fresh_races import steps_to_target
from benchmarks.page import stamp
from evaluate.files import write_json
from metalearn.races import draw_race, draw_scarce_race
from policy.checkpoint import digest, load_policy

SEED = 8_000_000  # of the first race; not those of meta-training, calibration and other benchmarks


def main(
    policies: tyro.conf.Positional[tuple[Path, ...]],
    out: Path = Path("runs/policy_races.json"),
    races: int = 50,
    processes: int = 2,
) -> None:
    """Run policies on the same races.

    Args:
        policies: policy files; the others are compared to the first.
        out: results, as JSON.
        races: seeds to draw from, with much data and again with little; some give no race.
        processes: that run races at the same time.
    """
    loaded = [load_policy(path) for path in policies]
    jobs = [(SEED + i, is_scarce, loaded) for i in range(races) for is_scarce in (False, True)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        rows = [row for row in pool.map(run_all, jobs) if row]
    digests = [digest(policy) for policy in loaded]
    names = [path.stem for path in policies]
    write_json(
        out, {**stamp("cpu", SEED), "policies": names, "policy sha256": digests, "rows": rows}
    )


def run_all(job):
    """Steps of each policy over the baseline's, on the race of a seed; None without a race."""
    seed, is_scarce, policies = job
    torch.set_num_threads(1)
    race = draw_scarce_race(seed) if is_scarce else draw_race(seed)
    if race is None:
        return None
    costs = [steps_to_target(race, p.spec, p.weights) / race.steps for p in policies]
    return {
        "seed": seed,
        "family": race.variant.family,
        "scarce": is_scarce,
        "steps": race.steps,
        "costs": costs,
    }


if __name__ == "__main__":
    tyro.cli(main)
