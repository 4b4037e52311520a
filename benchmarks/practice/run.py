"""One run: training for a number of steps, with tests of the network on the way."""

import itertools
import time

import torch

from benchmarks.practice.networks import NETWORKS
from benchmarks.practice.optimizers import HAS_BFLOAT16, OPTIMIZERS
from benchmarks.practice.workload import batches, validation_loss
from evaluate import provenance

TESTS = 25
WARMING = 2  # steps of another copy, before the clock runs


def measure(job: dict) -> list[dict]:
    """Return the row of a run: losses at regular intervals, seconds until then, size of state."""
    train(job, WARMING, tests=1)
    steps = NETWORKS[job["network"]].steps * job["budget"]
    return [{**job, "steps": steps, **train(job, steps, TESTS), **_origin()}]


def train(job: dict, steps: int, tests: int) -> dict:
    """Train a new network for some steps, tested at regular intervals; its row but for its name."""
    torch.manual_seed(job["seed"])
    workload = NETWORKS[job["network"]].make(job["width"])
    optimizer = OPTIMIZERS[job["optimizer"]].make(workload, steps, job["setting"])
    due = {round(steps * (i + 1) / tests) for i in range(tests)}
    curve = {"step": [], "seconds": [], "loss": []}
    seconds, recent = 0.0, []
    workload.model.train()
    for step, batch in enumerate(itertools.islice(batches(workload, job["seed"]), steps), 1):
        begin = time.process_time()
        workload.model.zero_grad()
        loss = workload.loss(workload.model, *batch)
        loss.backward()
        optimizer.step(loss)
        seconds += time.process_time() - begin
        recent = [*recent[-24:], batch]
        if step in due:
            with optimizer.tested(workload.model, recent):
                found = validation_loss(workload)
            for name, value in {"step": step, "seconds": seconds, "loss": found}.items():
                curve[name].append(value)
    weights = sum(parameter.numel() for parameter in workload.model.parameters())
    return {"weights": weights, "state": optimizer.state_bytes() / weights, "curve": curve}


def _origin() -> dict:
    hardware, git = provenance.hardware("cpu", 1), provenance.git()
    return {
        "cpu": hardware["cpu"],
        "torch": torch.__version__,
        "commit": provenance.short_commit(git, 12),
        "bfloat16": HAS_BFLOAT16,
    }
