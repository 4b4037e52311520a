"""Processor time of the driver and of Adam on perceptrons, against their width.

    python -m benchmarks.widths checkpoints/policy.safetensors --out docs/results/widths.json
    python -m benchmarks.widths_table docs/results/widths.json docs/driver.md

A perceptron uses each weight once a sample, so that an update takes a large part of a step.
In turn, Adam(1e-3) makes the steps after which its test loss is lowest, without the time of any
test, and the driver trains to that loss, its tests included.
"""

import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch
import tyro

from benchmarks.batch_sizes import Watched, in_turn, race_on, timed
from benchmarks.page import stamp
from benchmarks.widths_table import markdown
from policy.checkpoint import digest, load_policy
from tasks import Variant, build_task
from tasks.reference import steps_of
from tasks.table import weights
from writing.files import write_json

WIDTHS = 64, 128, 256, 512, 1024
STEPS = 1_500  # of Adam, to look for its lowest test loss
IMAGES = {"pixels": 28, "test": 2_000}


def main(
    policy: tyro.conf.Positional[Path],
    out: Path = Path("runs/widths.json"),
    seeds: int = 3,
    processes: int = 2,
) -> None:
    """Run Adam and a policy on perceptrons of all widths, on Fashion-MNIST.

    Args:
        policy: policy file.
        out: results, as JSON.
        seeds: initial weights and orders of batches.
        processes: that run at the same time.
    """
    learned = load_policy(policy)
    jobs = [(perceptron(width), seed, STEPS, learned) for width in WIDTHS for seed in range(seeds)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(measure, jobs))
    result = {**stamp("cpu", 0), "policy sha256": digest(learned), "rows": rows}
    write_json(out, result)
    print(markdown(result))


def perceptron(width):
    """Two hidden layers of this width, at batch 64."""
    arch = {"width": width, "depth": 2}
    return Variant("mlp", "fashion", arch=arch, data_options=IMAGES, batch_size=64)


def measure(job):
    """Seconds and steps of Adam and of the policy, to a loss that Adam finds in so many steps."""
    variant, seed, steps, policy = job
    torch.set_num_threads(1)
    width = dict(variant.arch)["width"]
    race = race_on(f"width {width}", replace(variant, seed=variant.seed + seed), steps)
    aimed = replace(race.variant, target=race.target)
    runs = {
        "adam": lambda: adams(build_task(aimed), race.steps),
        "policy": lambda: timed(Watched, build_task(aimed), seed, policy),
    }
    row = {"width": width, "seed": seed, "weights": weights(variant)}
    return {**row, **{name: runs[name]() for name in in_turn(runs, seed)}}


def adams(task, steps):
    """Processor time of so many steps of the baseline, without tests."""
    begin = time.process_time()
    for _ in zip(range(steps), steps_of(task), strict=False):
        pass
    return {"seconds": time.process_time() - begin, "steps": steps}


if __name__ == "__main__":
    tyro.cli(main)
