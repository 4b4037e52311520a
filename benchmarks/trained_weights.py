"""What a new LearnedLR does to weights that are trained already, beside Adam.

Networks are trained by one optimizer. From their weights (the averaged ones of LearnedLR, as one
saves them) others then go on, each made anew, as who kept the weights alone has to. Those of
training families do so on the same data and, some, on new data of the same kind; those of other
kinds (`benchmarks.networks`) on the same data, from one seed.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks import settings
from benchmarks.networks import KINDS, KindTask
from benchmarks.origin import sentence
from benchmarks.results import grouped
from evaluate.peers.common import aliases
from policy.checkpoint import digest
from policy.optimizer import LearnedLR
from policy.shipped import shipped_policy
from tasks import Task, Variant, build_task
from tasks.reference import steps_of
from writing.markdown import table as table_of

NAME, PAGE = "trained_weights", "docs/learned_lr.md"
NAMES = {"adam": "Adam", "learned": "LearnedLR"}
WHERE = "network", "trained by", "data"
METHODS = {
    "adam": "Adam(1e-3)",
    "plain": "LearnedLR",
    "trained": "trained=True",
    "low": "lr=0.1",
}
TRAINERS = {"adam": "adam", "learned": "plain"}  # the methods that train
SETTINGS: dict[str, dict] = {
    "plain": {},
    "trained": {"trained": True},
    "low": {"lr": 0.1},
}  # of LearnedLR
STEPS = 300  # of the training, and of what comes after it
TESTS = 10  # in these
RENEWING = 20  # batches that renew statistics of batch norm before a test
IMAGES = {"train": 20_000}  # more than these steps see
NETWORKS = {
    "perceptron": Variant("mlp", "clusters", arch={"width": 64}, data_options=IMAGES),
    "CNN": Variant("cnn", "clusters", arch={"width": 16}, data_options=IMAGES),
    "LSTM": Variant("rnn_lm", "topics", arch={"width": 48}),
    "transformer": Variant("transformer_lm", "topics", arch={"heads": 4}),
}
NEW = {**IMAGES, "seed": 2}  # the default is 1


@dataclass(frozen=True, kw_only=True)
class Settings(settings.Settings):
    """Train networks, and go on from their weights with new optimizers."""

    seeds: int = 5
    """Initial weights and orders of batches, of networks of training families."""


def jobs(settings: Settings) -> list[tuple]:
    """Networks, their trainers, and seeds."""
    return [
        *itertools.product(NETWORKS, TRAINERS, range(settings.seeds)),
        *itertools.product(KINDS, TRAINERS, [0]),
    ]


def measure(job: tuple) -> list[dict]:
    """Rows of one trained network: test losses before and after, of each optimizer and data."""
    network, trainer, seed = job
    trained = build(network, seed)
    tests(trained, TRAINERS[trainer])
    rows = []
    for data in data_of(network):
        row = {"network": network, "trainer": trainer, "seed": seed, "data": data}
        rows.append({**row, **go_on(trained, partial(build, network, seed + 1_000, data))})
    return rows


def data_of(network: str) -> tuple[str, ...]:
    """On what training goes on: the same data and, where another draw makes new ones, those."""
    is_drawn = network in NETWORKS and NETWORKS[network].data == "clusters"
    return ("same", "new") if is_drawn else ("same",)


def build(network: str, seed: int, data: str = "same") -> Task:
    """A task; `seed` gives initial weights and the order of batches."""
    if network in KINDS:
        return KindTask(KINDS[network], seed)
    variant = replace(NETWORKS[network], seed=seed)
    return build_task(replace(variant, data_options=NEW) if data == "new" else variant)


def go_on(trained: Task, fresh: Callable) -> dict[str, list[float]]:
    """Name -> test losses of each method, on tasks that `fresh` makes, from these weights."""
    found = {}
    for method in METHODS:
        task = fresh()
        take_over(task, trained)
        found[method] = tests(task, method)
    return found


def take_over(task: Task, trained: Task) -> None:
    """Weights, and statistics of batch norm where there are any, of a network like this one."""
    with torch.no_grad():
        for own, weight in zip(task.state, trained.state, strict=True):
            own.copy_(weight)
    for own, statistic in zip(buffers_of(task), buffers_of(trained), strict=True):
        own.copy_(statistic)


def buffers_of(task: Task) -> Iterable[torch.Tensor]:
    return task.kind.model.buffers() if isinstance(task, KindTask) else ()


def tests(task: Task, method: str) -> list[float]:
    """Test losses of a method, as `tested_along` finds them."""
    if method not in SETTINGS:
        return tested_along(task, steps_of(task), STEPS, TESTS)
    learned = LearnedLR(aliases(task), **SETTINGS[method])
    return tested_along(task, learned_steps(task, learned), STEPS, TESTS, learned)


def tested_along(
    task: Task, steps: Iterator, count: int, tests: int, learned: LearnedLR | None = None
) -> list[float]:
    """Test losses before any of so many steps and at regular intervals, so many tests; the last
    weights tested stay. Of LearnedLR the averaged weights are tested."""
    found = [tested(task)]
    for step, _ in zip(range(1, count + 1), steps, strict=False):
        if step % (count // tests):
            continue
        if learned:
            learned.eval()
        found.append(tested(task))
        if learned and step < count:
            learned.train()
    return found


def tested(task: Task) -> float:
    """The test loss, with the statistics that batch norm has on the present weights."""
    has_statistics = isinstance(task, KindTask) and any(
        isinstance(module, _BatchNorm) for module in task.kind.model.modules()
    )
    if has_statistics:
        batches = task.train_iterator(batch_size=task.default_batch_size, shuffle=False)
        for batch in itertools.islice(batches, RENEWING):
            task.batch_loss(batch)
    return task.test(task.state)


def learned_steps(task: Task, optimizer: LearnedLR) -> Iterator:
    """Steps of LearnedLR, epoch after epoch."""
    while True:
        for batch in task.train_iterator(batch_size=task.default_batch_size, shuffle=True):
            loss, gradients = task.batch_loss_and_gradient(batch)
            for weight, gradient in zip(
                optimizer.param_groups[0]["params"], gradients, strict=True
            ):
                weight.grad = gradient
            yield optimizer.step(loss)


def about(settings: Settings, rows: list[dict]) -> dict:
    return {"policy sha256": digest(shipped_policy())}


def table(result: dict) -> str:
    """A row for each network of a training family, trainer and kind of data; one for each trainer
    of all networks of other kinds; where the numbers come from."""
    own = [row for row in result["rows"] if row["network"] not in KINDS]
    others = [row for row in result["rows"] if row["network"] in KINDS]
    content = table_of([*WHERE, "before", *METHODS.values()], list(_networks(own)))
    summary = table_of(["trained by", "networks", *METHODS.values()], list(_kinds(others)))
    seeds = {row["seed"] for row in own}
    return f"{content}\n\nn = {len(seeds)}.\n\n{summary}\n\n{sentence(result)}"


def _networks(rows):
    for (network, trainer, data), runs in grouped(rows, "network", "trainer", "data").items():
        before = f"{np.median([run['adam'][0] for run in runs]):.3f}"
        yield [network, NAMES[trainer], data, before, *(_losses(runs, m) for m in METHODS)]


def _losses(runs, method):
    """Medians of the last test loss and of the highest one after the start."""
    losses = losses_of(runs, method)[:, 1:]
    return f"{np.median(losses[:, -1]):.3f} ({np.median(losses.max(1)):.3f})"


def _kinds(rows):
    for trainer, runs in grouped(rows, "trainer").items():
        yield [NAMES[trainer], str(len(runs)), *(_changes(runs, method) for method in METHODS)]


def _changes(runs, method):
    """Median of the last test loss over that at the start; runs that end above the start."""
    losses = losses_of(runs, method)
    change = losses[:, -1] / losses[:, 0]
    return f"{np.median(change):.3f}; {np.sum(change > 1)} higher"


def losses_of(runs: list[dict], method: str) -> np.ndarray:
    """Test losses `[runs, tests]`, infinite where they are not finite: in a file they are
    null."""
    losses = np.array([run[method] for run in runs], dtype=float)
    losses[~np.isfinite(losses)] = np.inf
    return losses
