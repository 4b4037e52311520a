"""Fine-tuning networks that were trained to the end: LearnedLR beside Adam with a cosine.

    python -m benchmarks.fine_tuning --out docs/results/fine_tuning.json
    python -m benchmarks.fine_tuning_table docs/results/fine_tuning.json docs/learned_lr.md

A network is trained by AdamW with warm-up and a cosine down to zero, then fine-tuned on little
other data: a convolutional one with a new head on clothes that it has not seen, a language model
for English on Python.
"""

import copy
import functools
import itertools
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import torch
import tyro
from torch import nn

from benchmarks.fine_tuning_table import METHODS, markdown
from benchmarks.kinds import Kind, KindTask, language, vision
from benchmarks.kinds.data import characters, classification, fashion
from benchmarks.page import stamp
from benchmarks.trained_weights import learned_steps, tested, tested_along
from evaluate.peers.common import aliases, cosine
from policy.checkpoint import digest
from policy.optimizer import LearnedLR
from policy.shipped import shipped_policy
from tasks.reference import steps_of
from writing.files import write_json

PRETRAINING, WARM_UP, RATE = 2_000, 100, 3e-3  # steps, and the highest rate
STEPS, TESTS = 300, 10  # of the fine-tuning
LEARNED = {  # settings of LearnedLR
    "plain": {},
    "trained": {"trained": True},
    "low": {"trained": True, "lr": 0.1},
}


class Case(NamedTuple):
    """What is trained first, and from its model what is fine-tuned."""

    before: Callable[[], Kind]
    after: Callable[[nn.Module], Kind]


def main(out: Path = Path("runs/fine_tuning.json"), seeds: int = 5, processes: int = 2) -> None:
    """Train networks to the end, and fine-tune them with several optimizers.

    Args:
        out: results, as JSON.
        seeds: initial weights and orders of batches.
        processes: that run at the same time.
    """
    jobs = list(itertools.product(CASES, range(seeds)))
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(measure, jobs))
    result = {**stamp("cpu", 0), "policy sha256": digest(shipped_policy()), "rows": rows}
    write_json(out, result)
    print(markdown(result))


def measure(job):
    """Of one network: the test loss of its training, and those of each fine-tuning."""
    name, seed = job
    torch.set_num_threads(1)
    case = CASES[name]
    pretrained = KindTask(case.before, seed)
    optimizer = torch.optim.AdamW(pretrained.state, RATE)
    steps = scheduled(pretrained, optimizer, cosine(optimizer, PRETRAINING, WARM_UP))
    for _ in itertools.islice(steps, PRETRAINING):
        pass
    row = {"case": name, "seed": seed, "pretrained": tested(pretrained)}
    for method in METHODS:
        task = KindTask(lambda: case.after(copy.deepcopy(pretrained.kind.model)), seed)
        row[method] = tests(task, method)
    return row


def tests(task, method):
    """Test losses before any step and at regular intervals."""
    if method in LEARNED:
        learned = LearnedLR(aliases(task), **LEARNED[method])
        return tested_along(task, learned_steps(task, learned), STEPS, TESTS, learned)
    optimizer = torch.optim.Adam(task.state, float(method))  # a rate
    return tested_along(task, scheduled(task, optimizer, cosine(optimizer, STEPS)), STEPS, TESTS)


def scheduled(task, optimizer, schedule):
    """Steps of a torch optimizer with its schedule, without end: yields after each."""
    for _ in steps_of(task, optimizer):
        schedule.step()
        yield


@functools.cache  # of a process; all of the images are read each time
def clothes(first, last, train, test):
    """Images of labels first to last, and these from 0 on."""
    parts = []
    for (x, y), count in zip(fashion(60_000, 10_000), (train, test), strict=True):
        kept = ((y >= first) & (y <= last)).nonzero().flatten()[:count]
        parts.append((x[kept], y[kept] - first))
    return parts


def images():
    train, test = clothes(0, 4, 20_000, 2_000)
    return vision.separable()._replace(train=train, test=test)


def other_images(model):
    model[-1] = nn.Linear(model[-1].in_features, 5)
    return Kind(model, *clothes(5, 9, 1_000, 2_000), classification)


def english():
    train, test = characters(language.CONTEXT, train=400_000)
    return language.llama()._replace(train=train, test=test)


def python(model):
    parts = characters(language.CONTEXT, "source", train=40_000)
    return Kind(model, *parts, classification, batch_size=16)


CASES = {"images": Case(images, other_images), "text": Case(english, python)}


if __name__ == "__main__":
    tyro.cli(main)
