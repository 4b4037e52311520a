"""One run: training for a number of steps, with tests of the network on the way."""

import collections
import itertools
import statistics
import time
from contextlib import AbstractContextManager

import torch

from benchmarks.practice.networks import NETWORKS
from benchmarks.practice.optimizers import HAS_BFLOAT16, OPTIMIZERS
from benchmarks.practice.workload import accuracy, batches, validation_loss
from evaluate import provenance

TESTS = 8
TURNS, BLOCK = 3, 1 / 50  # blocks of steps that are timed, and their length as a part of the run
RECENT = 25  # batches that renew statistics of batch norm


class Training:
    """A new network, its batches and an optimizer that is told the number of steps."""

    def __init__(self, job: dict, steps: int) -> None:
        torch.manual_seed(job["seed"])
        self.workload = NETWORKS[job["network"]].make(job["width"])
        self.optimizer = OPTIMIZERS[job["optimizer"]].make(self.workload, steps, job["setting"])
        self.batches = batches(self.workload, job["seed"])
        self.recent = collections.deque(maxlen=RECENT)
        self.workload.model.train()

    def run(self, steps: int) -> float:
        """Make some steps, and return the processor's seconds."""
        begin = time.process_time()
        for batch in itertools.islice(self.batches, steps):
            self.workload.model.zero_grad()
            loss = self.workload.loss(self.workload.model, *batch)
            loss.backward()
            self.optimizer.step(loss)
            self.recent.append(batch)
        return time.process_time() - begin

    def tested(self) -> AbstractContextManager:
        """The weights that are the result are in the model, in evaluation mode."""
        return self.optimizer.tested(self.workload.model, list(self.recent))


def measure(job: dict) -> list[dict]:
    """Return the row of a run: losses at regular intervals, times, size of state."""
    steps = NETWORKS[job["network"]].steps * job["budget"]
    row = {**job, "steps": steps, "step_over_adamw": step_over_adamw(job, steps)}
    return [{**row, **train(job, steps), **_origin()}]


def step_over_adamw(job: dict, steps: int) -> float:
    """Return the time of a step over that of AdamW's: medians of blocks, made alternately, so that
    other work on the machine slows both."""
    if job["optimizer"] == "adamw":
        return 1.0
    adamw = {**job, "optimizer": "adamw", "setting": OPTIMIZERS["adamw"].grid[0]}
    pair = [Training(one, steps) for one in (job, adamw)]
    times = [[one.run(max(1, round(BLOCK * steps))) for one in pair] for _ in range(TURNS)]
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    return ours / theirs


def train(job: dict, steps: int) -> dict:
    """Train a new network for some steps; return what its row says of it."""
    training = Training(job, steps)
    workload, seconds, made = training.workload, 0.0, 0
    curve = {"step": [], "seconds": [], "loss": []}
    for step in sorted({round(steps * (i + 1) / TESTS) for i in range(TESTS)}):
        seconds += training.run(step - made)
        made = step
        with training.tested():
            found = {"step": step, "seconds": seconds, "loss": validation_loss(workload)}
            hits = accuracy(workload) if step == steps else None
        for name, value in found.items():
            curve[name].append(value)
    weights = sum(parameter.numel() for parameter in workload.model.parameters())
    state = training.optimizer.state_bytes() / weights
    return {"weights": weights, "state": state, "accuracy": hits, "curve": curve}


def _origin() -> dict:
    hardware, git = provenance.hardware("cpu", 1), provenance.git()
    return {
        "cpu": hardware["cpu"],
        "torch": torch.__version__,
        "commit": provenance.short_commit(git, 12),
        "bfloat16": HAS_BFLOAT16,
    }
