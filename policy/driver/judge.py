"""Judges a run by its tests: is it on pace, and if not, would lower rates help?

A run is too slow if at its recent pace the target is farther ahead than FARTHEST times the run so
far. That needs no horizon, and spares sound runs: a loss that falls with the logarithm of time is
that far from its target only in the first twentieth (exp(-3)) of its run.

Such a run is stuck if it has not come halfway yet. Lower rates do not help it, nor a run that
memorises its data, as fast steps do within a hundred steps on little data: its training loss is
below the target, while its test loss rises.
"""

import math

from policy.driver.rescue import MEMORISES, ON_PACE, STUCK, TOO_SLOW

FARTHEST = 3.0
LEAST_SHARE_OF_RUN = 0.1  # that the pace is taken over: close tests differ by their noise
LEAST_STEPS = 60  # that the pace is taken over
EARLY_STEPS = 300  # the same until the loss is halfway to the target: runs may begin flat
# A test loss has risen if it lies above the lowest by RISEN of the way from the first loss to the
# target. That many such tests in a row count, since tests may be noisy.
RISEN, IN_A_ROW = 0.02, 2


class Judge:
    """Judges the tests of one run towards ``target``."""

    def __init__(self, target):
        self.target = target
        self.best = math.inf
        self.step, self.loss = 0, None  # where the pace is measured from
        self.risen = 0  # tests in a row

    def verdict(self, step, loss, training_loss, first):
        """Add a test at a step of the run. Returns an event of `policy.driver.rescue`; None if it
        is too early to say, or if the test loss is NaN.

        ``training_loss`` is smoothed; ``first`` is the training loss at the start.
        """
        if math.isnan(loss):
            return None
        self.best = min(self.best, loss)
        is_early = self.best >= (first + self.target) / 2
        is_slow = self._is_slow(step, loss, EARLY_STEPS if is_early else LEAST_STEPS)
        if is_slow and is_early:
            return STUCK
        has_risen = loss > self.best + RISEN * abs(first - self.target)
        self.risen = self.risen + 1 if has_risen and training_loss < self.target else 0
        if self.risen >= IN_A_ROW:
            return MEMORISES
        if is_slow is None:
            return None
        return TOO_SLOW if is_slow else ON_PACE

    def _is_slow(self, step, loss, least):
        """Return whether the run is too slow over ``least`` steps or more; None if these are not
        over yet."""
        if self.loss is None:
            self.step, self.loss = step, loss
        gained, spent = self.loss - loss, step - self.step
        if spent < max(least, LEAST_SHARE_OF_RUN * step):
            return None
        self.step, self.loss = step, loss
        return not (loss - self.target) * spent <= FARTHEST * gained * step
