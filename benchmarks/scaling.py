"""Speed-up in steps against the length of a run and against the size of the network.

    python -m benchmarks.scaling checkpoints/policy.safetensors --out docs/results/scaling.json
    python -m benchmarks.scaling_figure docs/results/scaling.json docs/results/scaling.png

A policy is meta-trained on runs of at most a few thousand steps and on small networks. Earlier
learned optimizers failed beyond theirs. Here Adam(1e-3) runs once for each task and seed, with
tests 4 % apart; a horizon is a step of its run, and the target is the lowest test loss until then.
The policy, and the same driver with constant rates, then train from the start towards each target.
Steps only: how long they take depends on the machine, and on what else it does. (So do they, a
little: by the clock the driver chooses when to test, and whether to divide wide matrices.)
"""

import math
import statistics
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
import tyro
from rich.progress import track

from benchmarks.page import stamp
from checkpoints_to_source.train_file import HAND_SET
from evaluate.run.counting import CountingTask, Recorder
from evaluate.sandbox.limits import LimitReached
from policy.checkpoint import digest, load_policy
from policy.driver.run import run
from tasks import Done, Variant, build_task
from tasks.baseline import steps_to_test
from tasks.reference import tested_steps
from tasks.table import weights
from writing.files import write_json

LIMIT = 2.0  # times the baseline's steps: beyond, a run is a miss
_TEXT = {"alphabet": "ascii", "context": 32, "train": 400_000, "test": 12_801}
_IMAGES = {"pixels": 14, "train": 10_000, "test": 2_000}
LONG = {
    "Elman net, text": Variant(
        "elman_lm", "topics", arch={"width": 64}, data_options=_TEXT, batch_size=16
    ),
    "LSTM, text": Variant(
        "rnn_lm", "topics", arch={"width": 64}, data_options=_TEXT, batch_size=16
    ),
    "transformer, text": Variant(
        "transformer_lm", "topics", arch={"depth": 1}, data_options=_TEXT, batch_size=16
    ),
}
HORIZONS = (300, 1_000, 3_000, 10_000)
LARGE = {
    "CNN, images": [
        Variant("cnn", "fashion", arch={"width": width}, data_options=_IMAGES, batch_size=32)
        for width in (8, 24, 72)
    ],
    "residual MLP, images": [
        Variant(
            "residual_mlp", "fashion", arch={"width": width}, data_options=_IMAGES, batch_size=32
        )
        for width in (32, 128, 512)
    ],
    "transformer, text": [
        Variant(
            "transformer_lm", "topics", arch={"head_width": width}, data_options=_TEXT, batch_size=8
        )
        for width in (8, 32, 128)
    ],
}
HORIZON_OF_LARGE = 600


class FixedBatch(CountingTask):
    """Steps are counted, so all are to be on the default batch, which the driver lets be where it
    does not know the length of an epoch."""

    def train_iterator(self, *args, **kwargs):
        return iter(super().train_iterator(*args, **kwargs))


class Case(NamedTuple):
    """kind: what is varied, "horizon" or "size". horizon: the baseline's steps."""

    kind: str
    task: str
    variant: Variant
    horizon: int


def cases():
    """All cases, those of one baseline run together."""
    long = [Case("horizon", name, v, h) for name, v in LONG.items() for h in HORIZONS]
    large = [
        Case("size", name, v, HORIZON_OF_LARGE) for name, family in LARGE.items() for v in family
    ]
    return long + large


def baseline(variant, longest):
    """Adam's test losses: step -> lowest loss until then."""
    torch.manual_seed(variant.seed)  # of the order of batches
    task = build_task(variant)
    due = {*steps_to_test(longest), *(horizon for horizon in HORIZONS if horizon <= longest)}
    lowest, found = math.inf, {}
    for step, loss in tested_steps(task, due):
        lowest = min(lowest, loss)
        found[step] = lowest
    return found


def steps_to(variant, target, most, spec, weights):
    """Steps that a policy needs to a target; infinite if more than ``most``."""
    torch.manual_seed(variant.seed)
    return steps_taken(build_task(replace(variant, target=target)), most, spec, weights)


def steps_taken(task, most, spec, weights):
    """Steps that a policy needs to the target of a task; infinite if more than ``most``, or if its
    loss stays NaN."""
    recorder = Recorder()
    try:
        run(FixedBatch(task, recorder, most), spec, weights)
    except Done:
        return recorder.steps
    except (LimitReached, RuntimeError):
        return math.inf


def measure(case, curve, policy):
    """Speed-ups of the policy and of constant rates in one case, 0 for a miss."""
    target = curve[case.horizon]
    # The first step of Adam's at that loss: later ones may have brought nothing.
    reached = min(step for step, loss in curve.items() if loss <= target)
    most = int(LIMIT * reached)
    rules = {"learned": policy, "constant": (HAND_SET, None)}
    return {
        name: reached / steps_to(case.variant, target, most, *rule) for name, rule in rules.items()
    }


def main(policy: tyro.conf.Positional[Path], out: Path, seeds: int = 3) -> None:
    """Measure all cases and write the result.

    Args:
        policy: policy file.
        out: file for the result.
        seeds: initial weights and orders of batches; rows give median, lowest and highest.
    """
    torch.set_num_threads(1)
    learned = load_policy(policy)
    found = [(case, []) for case in cases()]
    for variant in {case.variant for case, _ in found}:
        build_task(variant)  # data that is not there is rather found out now than after hours
    for seed in range(seeds):
        curves = {}
        for case, runs in track(found, description=f"seed {seed}"):
            seeded = case._replace(variant=replace(case.variant, seed=seed))
            longest = max(HORIZONS) if case.kind == "horizon" else case.horizon
            key = seeded.variant.digest, longest
            if key not in curves:
                curves[key] = baseline(seeded.variant, longest)
            runs.append(measure(seeded, curves[key], learned))
    rows = [row(case, runs) for case, runs in found]
    write_json(out, {**stamp("cpu", 0), "policy sha256": digest(learned), "n": seeds, "rows": rows})


def row(case, runs):
    """One row of the result: per rule the median, the lowest and the highest speed-up."""
    values = {}
    for rule in runs[0]:
        each = [run[rule] for run in runs]
        values[rule] = [statistics.median(each), min(each), max(each)]
    return {
        "varied": case.kind,
        "task": case.task,
        "horizon": case.horizon,
        "parameters": weights(case.variant),
        **values,
    }


if __name__ == "__main__":
    tyro.cli(main)
