"""Whole runs of the driver itself against the baseline, one network at a time.

The batched engine (`metalearn.rollout`) trains a thousand networks at once, which have to be
small, tests them at fixed steps and ends episodes by truncations. Here a policy runs as it will in
`train.py`: on networks of working size, with the driver's tests, and to the end.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch

from policy.driver.run import run
from policy.rule.spec import Spec
from tasks import Done, Variant, build_task, steps_to_test
from tasks.reference import tested_steps
from tasks.scarce import sample_scarce
from tasks.working_size import sample_working_size

LEAST_STEPS = 60  # of the baseline: in fewer, there is little to win
LONGER = 3  # times the steps of other races: a long race
KINDS = ("usual", "long", "scarce")


class Race(NamedTuple):
    """A variant, and the test loss that the baseline reaches in so many steps."""

    variant: Variant
    target: float
    steps: int


class _Lost(BaseException):
    """The baseline was there first. Not an Exception, so that no handler of the driver's takes
    it."""


class _Track:
    """A task with a target of its own, which counts steps and keeps test losses.

    Its iterators do not tell their length, so that the driver keeps the default batch: it is steps
    that are counted.
    """

    def __init__(self, task, target, most):
        self._task, self.target_test_loss, self._most = task, target, most
        self.steps, self.tests = 0, []

    def __getattr__(self, name):
        return getattr(self._task, name)

    def train_iterator(self, *args, **kwargs):
        return iter(self._task.train_iterator(*args, **kwargs))

    def batch_loss_and_gradient(self, batch):
        if self.steps >= self._most:
            raise _Lost
        self.steps += 1
        return self._task.batch_loss_and_gradient(batch)

    def test(self, *args):
        loss = float(self._task.test(*args))
        self.tests.append((self.steps, loss))
        if loss < self.target_test_loss:
            raise Done
        return loss


def draw_race(seed: int, kind: str = "usual", files: bool = False) -> Race | None:
    """The race of a seed, or None: `race_of` a random variant.

    Args:
        kind: of KINDS: of working size, the same for LONGER times as many steps, or with little
            data.
        files: whether to draw the first two also from data sets that need files.
    """
    if kind == "scarce":
        return race_of(*sample_scarce(seed))
    variant, horizon = sample_working_size(seed, files)
    return race_of(variant, LONGER * horizon if kind == "long" else horizon)


def race_of(variant: Variant, horizon: int) -> Race | None:
    """A race on a variant, the baseline run for `horizon` steps; None where it gets nowhere.

    The target is its lowest test loss, at the step where it was found first.
    """
    torch.manual_seed(variant.seed)  # of the order of batches
    task = build_task(variant)
    first = lowest = float(task.test(task.state))
    found = 0
    for step, loss in tested_steps(task, steps_to_test(horizon)):
        if loss < lowest:
            lowest, found = loss, step
    is_race = found >= LEAST_STEPS and math.isfinite(first)
    return Race(variant, lowest, found) if is_race else None


def relative_steps(race: Race, spec: Spec, weights: dict[str, torch.Tensor]) -> float:
    """Steps that a policy needs, over the baseline's; 1.0 where it is no faster.

    A crossing between two tests counts where a straight line between their losses has it: when the
    driver tests depends on the clock.
    """
    torch.manual_seed(race.variant.seed)
    track = _Track(build_task(race.variant), race.target, race.steps)
    try:
        run(track, spec, weights)
    except Done:
        return crossing(track.tests, race.target) / race.steps
    except (_Lost, RuntimeError):  # the latter where the loss stays NaN
        return 1.0


def crossing(tests: Sequence[tuple[int, float]], target: float) -> float:
    """Step at which a straight line to the last of `(step, loss)`, from the latest that was
    higher, meets the target; the last step where its loss is not below."""
    last, loss = tests[-1]
    before = [(step, higher) for step, higher in tests if step < last and higher > loss]
    if not before or not loss < target:
        return last
    step, higher = before[-1]
    if math.isinf(higher):  # there is no line from it
        return last
    return step + (last - step) * (higher - target) / (higher - loss)
