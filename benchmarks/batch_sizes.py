"""What choosing the batch size while training is worth, in processor time.

Whole runs of the driver to a target, with the size that it chooses and with the default one, in
turn: on the pairs of the suite `development`, and on four networks at large batches, where forward
and backward passes take nearly all of the time, to what Adam(1e-3) reaches in few steps and in
more. All are of training families. `--of full_size` takes the pairs of that suite instead.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks.origin import sentence
from benchmarks.pool import mapped
from benchmarks.results import grouped
from benchmarks.settings import PolicySettings
from benchmarks.statistics import geometric_mean, with_interval
from benchmarks.steps import FixedBatch
from evaluate.run.counting import CountingTask, Recorder
from evaluate.sandbox.limits import LimitReached
from metalearn.races import Race, race_of
from policy.checkpoint import Policy, load_policy
from policy.driver.run import run
from tasks import Batch, Done, Task, Variant, build_task
from tasks.suites import suite
from writing.markdown import table as table_of

NAME, PAGE = "batch_sizes", "docs/driver.md"
ALSO = {"batch_sizes_full": "docs/results.md"}
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

    size: int
    samples = 0

    def train_iterator(self, *arguments: Any, batch_size: int, **keywords: Any) -> Iterable:
        self.size = batch_size
        return super().train_iterator(*arguments, batch_size=batch_size, **keywords)

    def batch_loss_and_gradient(self, batch: Batch) -> tuple:
        self.samples += self.size
        return super().batch_loss_and_gradient(batch)


class WatchedFixedBatch(Watched, FixedBatch):
    """The same, on the default size."""


HEADER = (
    "task",
    "default batch",
    "its seconds",
    "seconds with the chosen size",
    "mean size over the default",
    "times as fast",
)
RULES = {"chosen": Watched, "default": WatchedFixedBatch}


@dataclass(frozen=True, kw_only=True)
class Settings(PolicySettings):
    """Run a policy with both rules on all tasks."""

    of: str = "development"
    """The suite; only beside its default are there networks at large batches."""

    seeds: int = 3
    """Initial weights and orders of batches."""


def jobs(settings: Settings) -> list[tuple]:
    """Pairs and seeds, with the policy."""
    names = LARGE if settings.of == "development" else ()
    large = [(f"{name}_{steps}", LARGE[name], steps) for name in names for steps in HORIZONS]
    pairs = [*suite(settings.of).items(), *mapped(with_target, large, settings.processes)]
    learned = load_policy(settings.policy)
    return [(*pair, seed, learned) for pair in pairs for seed in range(settings.seeds)]


def with_target(job: tuple) -> tuple[str, Variant]:
    """The name of a pair, and its variant; the target is Adam's lowest loss in so many steps."""
    name, variant, steps = job
    return name, replace(variant, target=race_on(name, variant, steps).target)


def race_on(name: str, variant: Variant, steps: int) -> Race:
    """The race to Adam's lowest loss in so many steps, on a variant that goes by a name."""
    race = race_of(variant, steps)
    if race is None:
        raise RuntimeError(f"{name}: Adam gets nowhere in {steps} steps")
    return race


def measure(job: tuple) -> list[dict]:
    """One run with each rule: seconds of the processor, steps, and samples over those of as many
    default batches."""
    name, variant, seed, policy = job
    row = {"pair": name, "seed": seed, "batch": variant.batch_size}
    for rule in in_turn(RULES, seed):
        task = build_task(replace(variant, seed=variant.seed + seed))
        row[rule] = timed(RULES[rule], task, seed, policy)
    return [row]


def in_turn(names: Iterable[str], seed: int) -> list[str]:
    """The names in an order that alternates, so that neither always comes first."""
    return list(names)[:: 1 if seed % 2 else -1]


def timed(rule: type[Watched], task: Task, seed: int, policy: Policy) -> dict:
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


def table(result: dict) -> str:
    """One row a task, the geometric mean of the gains, where the numbers come from."""
    by_pair = grouped(result["rows"], "pair")
    rows = [_row(pair.replace("_", " "), runs) for pair, runs in by_pair.items()]
    gains = np.array([_log_gain(runs) for runs in by_pair.values()])
    mean = with_interval(*geometric_mean(gains[np.isfinite(gains)]))
    content = table_of(HEADER, [*rows, ["geometric mean", "", "", "", "", mean]])
    return f"{content}\n\nn = {len(by_pair[result['rows'][0]['pair']])}. {sentence(result)}"


def _row(pair, runs):
    cells = [", ".join(seconds(run[rule]) for run in runs) for rule in ("default", "chosen")]
    size = np.exp(np.mean([np.log(run["chosen"]["size"]) for run in runs]))
    gain = np.exp(_log_gain(runs))
    told = f"{gain:.2f}" if np.isfinite(gain) else "-"
    return [pair, str(runs[0]["batch"]), *cells, f"{size:.2f}", told]


def seconds(run: dict) -> str:
    """What a run took, and whether in vain."""
    return f"{run['seconds']:.2f}" + ("" if run["reached"] else " (missed)")


def _log_gain(runs):
    """Mean over the runs of a task, geometric, of how many times as fast they are; those of which
    one was missed tell nothing, NaN where all are."""
    both = [run for run in runs if run["default"]["reached"] and run["chosen"]["reached"]]
    pairs = [(run["default"]["seconds"], run["chosen"]["seconds"]) for run in both]
    return np.mean([np.log(default / chosen) for default, chosen in pairs]) if pairs else np.nan
