r"""What choosing the batch size while training is worth, in processor time.

    python -m benchmarks.batch_sizes checkpoints/policy.safetensors \
        --out docs/results/batch_sizes.json
    python -m benchmarks.batch_sizes_table docs/results/batch_sizes.json docs/driver.md

Whole runs of the driver to a target, with the size that it chooses and with the default one, in
turn: on the pairs of the suite `development`, and on four networks at large batches, where forward
and backward passes take nearly all of the time, to what Adam(1e-3) reaches in few steps and in
more. All are of training families. `--of full_size` takes the pairs of that suite instead.
"""

import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch
import tyro

from benchmarks.batch_sizes_table import markdown
from benchmarks.page import stamp
from benchmarks.scaling import FixedBatch
from evaluate.run.counting import CountingTask, Recorder
from evaluate.sandbox.limits import LimitReached
from metalearn.races import race_of
from policy.checkpoint import digest, load_policy
from policy.driver.run import run
from tasks import Done, Variant, build_task
from tasks.suites import suite
from writing.files import write_json

HORIZONS = 120, 400  # steps of Adam to the targets at large batches
MOST = 5_000  # steps of a run
TEXT = {"alphabet": "ascii", "context": 32, "test": 6_000}
IMAGES = {"pixels": 28, "test": 2_000}
LARGE = {
    "wide_cnn_batchnorm": Variant(
        "cnn",
        "fashion",
        arch={"width": 32, "depth": 4, "norm": "batch", "activation": "relu"},
        data_options=IMAGES,
        batch_size=128,
    ),
    "wide_cnn_plain": Variant(
        "cnn",
        "fashion",
        arch={"width": 24, "depth": 3, "norm": "none", "activation": "relu"},
        data_options=IMAGES,
        batch_size=128,
    ),
    "wide_lstm": Variant(
        "rnn_lm",
        "topics",
        arch={"width": 256, "depth": 2, "tied": True, "dropout": 0.2},
        data_options=TEXT,
        batch_size=64,
    ),
    "wide_transformer": Variant(
        "transformer_lm",
        "topics",
        arch={"heads": 4, "head_width": 32, "depth": 3, "activation": "gelu"},
        data_options=TEXT,
        batch_size=64,
    ),
}


class Watched(CountingTask):
    """Counts samples, too."""

    size, samples = None, 0

    def train_iterator(self, *arguments, batch_size, **keywords):
        self.size = batch_size
        return super().train_iterator(*arguments, batch_size=batch_size, **keywords)

    def batch_loss_and_gradient(self, batch):
        self.samples += self.size
        return super().batch_loss_and_gradient(batch)


class WatchedFixedBatch(Watched, FixedBatch):
    """The same, on the default size."""


RULES = {"chosen": Watched, "default": WatchedFixedBatch}


def main(
    policy: tyro.conf.Positional[Path],
    out: Path = Path("runs/batch_sizes.json"),
    of: str = "development",
    seeds: int = 3,
    processes: int = 2,
) -> None:
    """Run a policy with both rules on all tasks.

    Args:
        policy: policy file.
        out: results, as JSON.
        of: the suite; only beside its default are there networks at large batches.
        seeds: initial weights and orders of batches.
        processes: that run at the same time.
    """
    learned = load_policy(policy)
    names = LARGE if of == "development" else ()
    large = [(f"{name}_{steps}", LARGE[name], steps) for name in names for steps in HORIZONS]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        pairs = [*suite(of).items(), *pool.map(with_target, large)]
        jobs = [(*pair, seed, learned) for pair in pairs for seed in range(seeds)]
        rows = list(pool.map(measure, jobs))
    result = {**stamp("cpu", 0), "policy sha256": digest(learned), "rows": rows}
    write_json(out, result)
    print(markdown(result))


def with_target(job):
    """The name of a pair, and its variant; the target is Adam's lowest loss in so many steps."""
    name, variant, steps = job
    torch.set_num_threads(1)
    return name, replace(variant, target=race_on(name, variant, steps).target)


def race_on(name, variant, steps):
    """The race to Adam's lowest loss in so many steps, on a variant that goes by a name."""
    race = race_of(variant, steps)
    if race is None:
        raise RuntimeError(f"{name}: Adam gets nowhere in {steps} steps")
    return race


def measure(job):
    """One run with each rule: seconds of the processor, steps, and samples over those of as many
    default batches."""
    name, variant, seed, policy = job
    torch.set_num_threads(1)
    row = {"pair": name, "seed": seed, "batch": variant.batch_size}
    for rule in in_turn(RULES, seed):
        task = build_task(replace(variant, seed=variant.seed + seed))
        row[rule] = timed(RULES[rule], task, seed, policy)
    return row


def in_turn(names, seed):
    """The names in an order that alternates, so that neither always comes first."""
    return list(names)[:: 1 if seed % 2 else -1]


def timed(rule, task, seed, policy):
    """A run to the target, or to the limit of steps."""
    torch.manual_seed(seed)
    recorder = Recorder()
    watched = rule(task, recorder, MOST)
    begin, reached = time.process_time(), False
    try:
        run(watched, policy.spec, policy.weights)
    except Done:
        reached = True
    except LimitReached:
        pass
    return {
        "seconds": time.process_time() - begin,
        "steps": recorder.steps,
        "size": watched.samples / (recorder.steps * task.default_batch_size),
        "reached": reached,
    }


if __name__ == "__main__":
    tyro.cli(main)
