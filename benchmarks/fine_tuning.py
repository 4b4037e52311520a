"""Fine-tuning of fully trained networks: LearnedLR beside Adam with a cosine schedule.

AdamW first trains a network, with warm-up and a cosine schedule down to zero. Then the network is
fine-tuned on a small amount of other data: a convolutional network with a new head on unseen
classes of clothes, and a language model for English on Python code.
"""

import copy
import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks import settings
from benchmarks.networks import Kind, KindTask, language, vision
from benchmarks.networks.data import Split, characters, classification, fashion
from benchmarks.origin import sentence
from benchmarks.steps import endless
from evaluate.peers.common import aliases, cosine
from policy.checkpoint import digest
from policy.optimizer import LearnedLR
from policy.shipped import shipped_policy
from tasks.reference import steps_of
from writing.markdown import table as table_of
from writing.statistics import grouped

NAME, PAGE = "fine_tuning", "docs/learned_lr.md"
PRETRAINING, WARM_UP, RATE = 2_000, 100, 3e-3  # steps, and the peak rate
STEPS, TESTS = 300, 10  # steps of fine-tuning, and tests on the way
RENEWING = 20  # batches to renew batch-norm statistics with before a test
LEARNED: dict[str, dict] = {  # settings of LearnedLR, by method
    "plain": {},
    "trained": {"trained": True},
    "low": {"trained": True, "lr": 0.1},
}

METHODS = {
    **{rate: f"Adam, cosine from {rate}" for rate in ("1e-2", "3e-3", "1e-3", "3e-4", "1e-4")},
    "plain": "LearnedLR",
    "trained": "LearnedLR, trained=True",
    "low": "the same, lr=0.1",
}


@dataclass(frozen=True, kw_only=True)
class Settings(settings.Settings):
    """Pretrain networks, then fine-tune them with several optimizers."""

    seeds: int = 5
    """Initial weights and orders of batches."""


def jobs(settings: Settings) -> list[tuple]:
    """Return cases and seeds."""
    return list(itertools.product(CASES, range(settings.seeds)))


def measure(job: tuple) -> list[dict]:
    """Return the row of one network: its pretrained test loss, and those of each fine-tuning."""
    name, seed = job
    before, after = CASES[name]
    pretrained = KindTask(before, seed)
    optimizer = torch.optim.AdamW(pretrained.state, RATE)
    for _ in itertools.islice(annealed(pretrained, optimizer, PRETRAINING, WARM_UP), PRETRAINING):
        pass
    row = {"case": name, "seed": seed, "pretrained": tested(pretrained)}
    for method in METHODS:
        task = KindTask(lambda: after(copy.deepcopy(pretrained.kind.model)), seed)
        row[method] = tests(task, method)
    return [row]


def tests(task: KindTask, method: str) -> list[float]:
    """Return the test losses before the first of STEPS steps and at TESTS of them.

    For LearnedLR they are those of the averaged weights.
    """
    learned = LearnedLR(aliases(task), **LEARNED[method]) if method in LEARNED else None
    if learned:
        steps = learned_steps(task, learned)
    else:
        steps = annealed(task, torch.optim.Adam(task.state, float(method)), STEPS)
    found = [tested(task)]
    for _ in range(TESTS):
        for _ in itertools.islice(steps, STEPS // TESTS):
            pass
        if learned:
            learned.eval()
        found.append(tested(task))
        if learned:
            learned.train()
    return found


def tested(task: KindTask) -> float:
    """Return the test loss, with batch-norm statistics renewed for the current weights."""
    if any(isinstance(module, _BatchNorm) for module in task.kind.model.modules()):
        batches = task.train_iterator(batch_size=task.default_batch_size, shuffle=False)
        for batch in itertools.islice(batches, RENEWING):
            task.batch_loss(batch)
    return task.test(task.state)


def learned_steps(task: KindTask, optimizer: LearnedLR) -> Iterator:
    """Make steps of LearnedLR, epoch after epoch; yield after each."""
    for batch in endless(task):
        loss, gradients = task.batch_loss_and_gradient(batch)
        for weight, gradient in zip(optimizer.param_groups[0]["params"], gradients, strict=True):
            weight.grad = gradient
        yield optimizer.step(loss)


def annealed(
    task: KindTask, optimizer: torch.optim.Optimizer, steps: int, warm_up: int = 0
) -> Iterator[None]:
    """Make steps of a torch optimizer with a cosine schedule; yield after each."""
    schedule = cosine(optimizer, steps, warm_up)
    for _ in steps_of(task, optimizer):
        schedule.step()
        yield


@functools.cache  # each call reads all images
def clothes(first: int, last: int, train: int, test: int) -> Split:
    """Return the images with labels first to last; labels then start at 0."""

    def chosen(examples, count):
        x, y = examples
        kept = ((y >= first) & (y <= last)).nonzero().flatten()[:count]
        return x[kept], y[kept] - first

    all_train, all_test = fashion(60_000, 10_000)
    return chosen(all_train, train), chosen(all_test, test)


def images() -> Kind:
    train, test = clothes(0, 4, 20_000, 2_000)
    return vision.separable()._replace(train=train, test=test)


def other_images(model: Any) -> Kind:
    model[-1] = nn.Linear(model[-1].in_features, 5)
    return Kind(model, *clothes(5, 9, 1_000, 2_000), classification)


def english() -> Kind:
    train, test = characters(language.CONTEXT, train=400_000)
    return language.llama()._replace(train=train, test=test)


def python(model: Any) -> Kind:
    parts = characters(language.CONTEXT, "source", train=40_000)
    return Kind(model, *parts, classification, batch_size=16)


# Case -> what to pretrain, and what to fine-tune its model on.
CASES = {"images": (images, other_images), "text": (english, python)}


def about(settings: Settings, rows: list[dict]) -> dict:
    return {"policy sha256": digest(shipped_policy())}


def table(result: dict) -> str:
    """Return one row per method, one column per case, and the origin of the numbers."""
    cases = grouped(result["rows"], "case")
    runs = list(cases.values())
    start = ["before", *(f"{np.median(losses_of(mine, '1e-3')[:, 0]):.3f}" for mine in runs)]
    rows = [[name, *(_cell(mine, method) for mine in runs)] for method, name in METHODS.items()]
    content = table_of(["", *cases], [start, *rows])
    return f"{content}\n\nn = {len({r['seed'] for r in result['rows']})}. {sentence(result)}"


def _cell(runs, method):
    """Return the medians of the last and of the lowest test loss."""
    losses = losses_of(runs, method)
    return f"{np.median(losses[:, -1]):.3f} ({np.median(losses.min(1)):.3f})"


def losses_of(runs: list[dict], method: str) -> np.ndarray:
    """Return test losses `[runs, tests]`.

    Losses that are not finite, which are null in the file, become infinite.
    """
    losses = np.array([run[method] for run in runs], dtype=float)
    losses[~np.isfinite(losses)] = np.inf
    return losses
