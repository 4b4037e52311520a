"""What a new LearnedLR does to weights that are trained already, beside Adam.

    python -m benchmarks.trained_weights --out docs/results/trained_weights.json
    python -m benchmarks.trained_weights_table docs/results/trained_weights.json docs/learned_lr.md

Networks are trained by one optimizer. From their weights (the averaged ones of LearnedLR, as one
saves them) others then go on, each made anew, as who kept the weights alone has to. Those of
training families do so on the same data and, some, on new data of the same kind; those of other
kinds (:mod:`benchmarks.kinds`) on the same data, from one seed.
"""

import itertools
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
import tyro
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.kinds import KINDS, KindTask
from benchmarks.page import stamp
from benchmarks.trained_weights_table import METHODS, markdown
from evaluate.peers.common import aliases
from policy.checkpoint import digest
from policy.optimizer import LearnedLR
from policy.shipped import shipped_policy
from tasks import Variant, build_task
from tasks.reference import steps_of
from writing.files import write_json

TRAINERS = {"adam": "adam", "learned": "plain"}  # the methods that train
SETTINGS = {"plain": {}, "trained": {"trained": True}, "low": {"lr": 0.1}}  # of LearnedLR
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


def main(out: Path = Path("runs/trained_weights.json"), seeds: int = 5, processes: int = 2) -> None:
    """Train networks, and go on from their weights with new optimizers.

    Args:
        out: results, as JSON.
        seeds: initial weights and orders of batches, of networks of training families.
        processes: that run at the same time.
    """
    jobs = [
        *itertools.product(NETWORKS, TRAINERS, range(seeds)),
        *itertools.product(KINDS, TRAINERS, [0]),
    ]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        rows = list(itertools.chain.from_iterable(pool.map(measure, jobs)))
    result = {**stamp("cpu", 0), "policy sha256": digest(shipped_policy()), "rows": rows}
    write_json(out, result)
    print(markdown(result))


def measure(job):
    """Rows of one trained network: test losses before and after, of each optimizer and data."""
    network, trainer, seed = job
    torch.set_num_threads(1)
    trained = build(network, seed)
    tests(trained, TRAINERS[trainer])
    rows = []
    for data in data_of(network):
        row = {"network": network, "trainer": trainer, "seed": seed, "data": data}
        rows.append({**row, **go_on(trained, partial(build, network, seed + 1_000, data))})
    return rows


def data_of(network):
    """On what training goes on: the same data and, where another draw makes new ones, those."""
    is_drawn = network in NETWORKS and NETWORKS[network].data == "clusters"
    return ("same", "new") if is_drawn else ("same",)


def build(network, seed, data="same"):
    """A task; ``seed`` gives initial weights and the order of batches."""
    if network in KINDS:
        return KindTask(KINDS[network], seed)
    variant = replace(NETWORKS[network], seed=seed)
    return build_task(replace(variant, data_options=NEW) if data == "new" else variant)


def go_on(trained, fresh):
    """Name -> test losses of each method, on tasks that ``fresh`` makes, from these weights."""
    found = {}
    for method in METHODS:
        task = fresh()
        take_over(task, trained)
        found[method] = tests(task, method)
    return found


def take_over(task, trained):
    """Weights, and statistics of batch norm where there are any, of a network like this one."""
    with torch.no_grad():
        for own, weight in zip(task.state, trained.state, strict=True):
            own.copy_(weight)
    for own, statistic in zip(buffers_of(task), buffers_of(trained), strict=True):
        own.copy_(statistic)


def buffers_of(task):
    return task.kind.model.buffers() if isinstance(task, KindTask) else ()


def tests(task, method):
    """Test losses of a method, as :func:`tested_along` finds them."""
    if method not in SETTINGS:
        return tested_along(task, steps_of(task), STEPS, TESTS)
    learned = LearnedLR(aliases(task), **SETTINGS[method])
    return tested_along(task, learned_steps(task, learned), STEPS, TESTS, learned)


def tested_along(task, steps, count, tests, learned=None):
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


def tested(task):
    """The test loss, with the statistics that batch norm has on the present weights."""
    has_statistics = isinstance(task, KindTask) and any(
        isinstance(module, _BatchNorm) for module in task.kind.model.modules()
    )
    if has_statistics:
        batches = task.train_iterator(batch_size=task.default_batch_size, shuffle=False)
        for batch in itertools.islice(batches, RENEWING):
            task.batch_loss(batch)
    return task.test(task.state)


def learned_steps(task, optimizer):
    """Steps of LearnedLR, epoch after epoch."""
    while True:
        for batch in task.train_iterator(batch_size=task.default_batch_size, shuffle=True):
            loss, gradients = task.batch_loss_and_gradient(batch)
            for weight, gradient in zip(
                optimizer.param_groups[0]["params"], gradients, strict=True
            ):
                weight.grad = gradient
            yield optimizer.step(loss)


if __name__ == "__main__":
    tyro.cli(main)
