"""What a new LearnedLR does to weights that are trained already, beside Adam.

    python -m benchmarks.trained_weights --out docs/results/trained_weights.json
    python -m benchmarks.trained_weights_table docs/results/trained_weights.json docs/policy.md

Networks of training families are trained by one optimizer. From their weights (the averaged ones
of LearnedLR, as one saves them) others then go on, each made anew, as who kept the weights alone
has to: on the same data, or on new data of the same kind.
"""

import itertools
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch
import tyro

from benchmarks.page import stamp
from benchmarks.trained_weights_table import METHODS, markdown
from evaluate.files import write_json
from evaluate.peers.common import aliases
from policy.checkpoint import digest
from policy.optimizer import LearnedLR, shipped_policy
from tasks import Variant, build_task
from tasks.reference import steps_of

TRAINERS = {"adam": None, "learned": 1.0}
STEPS = 300  # of the training, and of what comes after it
TESTS = 10  # in these
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
        seeds: initial weights and orders of batches.
        processes: that run at the same time.
    """
    jobs = list(itertools.product(NETWORKS, TRAINERS, range(seeds)))
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        rows = list(itertools.chain.from_iterable(pool.map(measure, jobs)))
    result = {**stamp("cpu", 0), "policy sha256": digest(shipped_policy()), "rows": rows}
    write_json(out, result)
    print(markdown(result))


def measure(job):
    """Rows of one trained network: test losses before and after, of each optimizer and data."""
    network, trainer, seed = job
    torch.set_num_threads(1)
    variant = replace(NETWORKS[network], seed=seed)
    trained = build_task(variant)
    tests(trained, TRAINERS[trainer])
    onwards = {"same": replace(variant, seed=seed + 1_000)}  # other batches
    if variant.data == "clusters":
        onwards["new"] = replace(onwards["same"], data_options=NEW)
    return [
        {
            "network": network,
            "trainer": trainer,
            "seed": seed,
            "data": data,
            **dict(go_on(trained.state, onward)),
        }
        for data, onward in onwards.items()
    ]


def go_on(weights, variant):
    """``(name, test losses)`` of Adam and of LearnedLR with each multiplier, from these weights."""
    for name in METHODS:
        task = build_task(variant)
        with torch.no_grad():
            for own, weight in zip(task.state, weights, strict=True):
                own.copy_(weight)
        yield name, tests(task, None if name == "adam" else float(name))


def tests(task, multiplier):
    """Test losses before any step and at regular intervals; the last weights tested stay.

    ``multiplier`` is that of LearnedLR; None for Adam.
    """
    found = [task.test(task.state)]
    learned = None if multiplier is None else LearnedLR(aliases(task), multiplier)
    steps = learned_steps(task, learned) if learned else steps_of(task)
    for step, _ in zip(range(1, STEPS + 1), steps, strict=False):
        if step % (STEPS // TESTS):
            continue
        if learned:
            learned.eval()
        found.append(task.test(task.state))
        if learned and step < STEPS:
            learned.train()
    return found


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
