"""One run: train a network for a number of steps, and test it on the way."""

import collections
import itertools
import statistics
import time

import torch

from benchmarks.networks import Kind, KindTask
from benchmarks.networks.data import classification
from benchmarks.practice.networks import NETWORKS
from benchmarks.practice.optimizers import HAS_BFLOAT16, OPTIMIZERS
from benchmarks.steps import endless
from evaluate import provenance

TESTS = 8
TURNS, BLOCK = 3, 1 / 50  # timed blocks of steps, and their length as a share of the run
RECENT = 25  # batches to renew batch-norm statistics with


class Training:
    """A new network, its batches, and an optimizer that knows the number of steps."""

    def __init__(self, job: dict, steps: int) -> None:
        task = KindTask(lambda: NETWORKS[job["network"]].make(job["width"]), job["seed"])
        self.kind, self.batches = task.kind, endless(task)
        self.optimizer = OPTIMIZERS[job["optimizer"]].make(self.kind, steps, job["setting"])
        self.recent = collections.deque(maxlen=RECENT)

    def run(self, steps: int) -> float:
        """Make some steps, and return the processor seconds."""
        begin = time.process_time()
        for batch in itertools.islice(self.batches, steps):
            self.kind.model.zero_grad()
            loss = self.kind.loss(self.kind.model, *batch)
            loss.backward()
            self.optimizer.step(loss)
            self.recent.append(batch)
        return time.process_time() - begin


def measure(job: dict) -> list[dict]:
    """Return the row of a run: losses at regular intervals, times, size of the state."""
    steps = NETWORKS[job["network"]].steps * job["budget"]
    origin = {
        "cpu": provenance.hardware("cpu", 1)["cpu"],
        "torch": torch.__version__,
        "commit": provenance.short_commit(provenance.git(), 12),
        "bfloat16": HAS_BFLOAT16,
    }
    row = {**job, "steps": steps, "step_over_adamw": step_over_adamw(job, steps)}
    return [{**row, **train(job, steps), **origin}]


def step_over_adamw(job: dict, steps: int) -> float:
    """Return the time of a step relative to AdamW's.

    Both are medians over alternating blocks, so that other work on the machine slows both.
    """
    if job["optimizer"] == "adamw":
        return 1.0
    adamw = {**job, "optimizer": "adamw", "setting": OPTIMIZERS["adamw"].grid[0]}
    pair = [Training(one, steps) for one in (job, adamw)]
    times = [[one.run(max(1, round(BLOCK * steps))) for one in pair] for _ in range(TURNS)]
    ours, theirs = (statistics.median(column) for column in zip(*times, strict=True))
    return ours / theirs


def train(job: dict, steps: int) -> dict:
    """Train a new network for some steps, and return the entries of its row."""
    training = Training(job, steps)
    kind, optimizer = training.kind, training.optimizer
    curve = {"step": [], "seconds": [], "loss": []}
    seconds, made = 0.0, 0
    for step in sorted({round(steps * (i + 1) / TESTS) for i in range(TESTS)}):
        seconds += training.run(step - made)
        made = step
        with optimizer.tested(kind.model, list(training.recent)):
            curve["loss"].append(kind.test_loss())
            hits = accuracy(kind) if step == steps else None
        curve["step"].append(step)
        curve["seconds"].append(seconds)
    weights = sum(parameter.numel() for parameter in kind.model.parameters())
    state = optimizer.state_bytes() / weights
    return {"weights": weights, "state": state, "accuracy": hits, "curve": curve}


@torch.no_grad()
def accuracy(kind: Kind) -> float | None:
    """Return a classifier's accuracy on the test examples, or on their symbols.

    Return None for a network that is no classifier.
    """
    if kind.loss is not classification:
        return None
    hits = [kind.model(x).argmax(-1) == y for x, y in kind.test_batches()]
    return torch.cat(hits).float().mean().item()
