"""The pairs of a suite, and checks that each can be run."""

import dataclasses
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import torch

from evaluate.errors import InputError
from tasks import DataError, Done, Task, Variant, suite
from tasks.suites import has_other_text


@dataclass(frozen=True)
class Pair:
    """A named (architecture, data set) pair: a variant with its target test loss."""

    suite: str
    name: str
    variant: Variant

    def of_repeat(self, repeat: int) -> Variant:
        """Return a repeat's variant, with its own initial weights, label noise and batch order.

        Otherwise, repeats would measure only the noise of the clock.
        """
        return dataclasses.replace(self.variant, seed=self.variant.seed + repeat)


def load_suite(name: str) -> list[Pair]:
    """Return the pairs of a suite. Raise InputError for an unknown suite or one without pairs."""
    try:
        variants = suite(name)
    except (KeyError, ValueError) as problem:
        raise InputError(f"suite {name!r}: {_line(problem)}") from None
    if not variants:
        raise InputError(
            f"suite {name!r}: none of its pairs can be run here; see the notices above"
        )
    return [Pair(name, pair, variant) for pair, variant in variants.items()]


def check(pair: Pair, build: Callable) -> None:
    """Call each oracle once on `build(variant)`; raise InputError if the pair can't be run.

    Print a notice if the pair's text is not the one that its target was measured on.
    """
    if pair.variant.target is None:
        raise InputError(f"pair {pair.name}: has no target; give its variant one")
    try:
        task = build(pair.variant)
    except (DataError, ValueError) as problem:
        raise InputError(f"pair {pair.name}: cannot be built: {_line(problem)}") from None
    if has_other_text(pair.name, pair.variant):
        print(
            f"notice: pair {pair.name}: its text is not the one that its target was measured on, "
            "as it comes with Python, whose installations differ: compare its figures with those "
            "of this installation alone",
            file=sys.stderr,
        )
    torch.manual_seed(0)
    batches = task.train_iterator(batch_size=task.default_batch_size, shuffle=True)
    batch = next(iter(batches), None)
    if batch is None:
        raise InputError(
            f"pair {pair.name}: its default batch size {task.default_batch_size} yields no batch; "
            "make the batch smaller than the training set"
        )
    _demand_finite(pair, "test", _test(pair, task))
    _demand_finite(pair, "training", float(task.batch_loss(batch)))


def _test(pair: Pair, task: Task) -> float:
    try:
        return float(task.test(task.state))
    except Done:
        raise InputError(
            f"pair {pair.name}: its target {pair.variant.target:g} is reached before any training; "
            "lower the target"
        ) from None


def _demand_finite(pair: Pair, kind: str, loss: float) -> None:
    if not math.isfinite(loss):
        raise InputError(
            f"pair {pair.name}: its {kind} loss is {loss} from the start; "
            "reduce the scale of its initial weights or mend its data"
        )


def _line(problem: Exception) -> str:
    # A KeyError's str() is the repr of its message.
    text = problem.args[0] if isinstance(problem, KeyError) and problem.args else problem
    return " ".join(str(text).split())
