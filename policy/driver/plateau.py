"""Detects runs that are too slow, and would miss their target.

Averaging makes a constant rate nearly as good as a falling one. So this is for rates too high for
the task, which are then lowered; and for small data that fast steps overfit and networks that they
ruin, where the run restarts as the baseline does. A run is too slow if at its recent pace the
target is farther ahead than FARTHEST times the run so far, which needs no horizon. A sound run is
never at its final pace early on: a loss that falls with the logarithm of time has that much left at
a twentieth (exp(-3)) of its way.
"""

import math

FARTHEST = 3.0
LEAST_STEPS = 60  # over which the pace is taken, at least
LEAST_SHARE_OF_RUN = 0.1  # the same, of the run so far: tests close together differ by their noise
NOTABLE = 0.02  # of the distance to the target: a test better by less is no sign of recovery
EARLY_STEPS = 300  # the same, as long as the loss has not come half of its way: runs may begin flat


class Plateau:
    """Watches the tests of a run towards ``target`` that began at step ``start``."""

    def __init__(self, target, start=0, least=LEAST_STEPS):
        self.target, self.start, self.least = target, start, least
        self.best = math.inf
        self.step, self.loss = start, None  # where the pace is taken from
        self.has_recovered = False  # whether the last test was notably better
        self.halfway = -math.inf
        self.is_stalled = False  # whether the last test was no better, but too soon to tell

    def record(self, step, loss, halfway):
        """Take in the loss of a test, unless it is NaN. Returns whether the run is too slow now.

        ``halfway`` is the loss halfway between the first one and the target.
        """
        self.halfway, self.is_stalled, self.has_recovered = halfway, False, False
        if math.isnan(loss):
            return False
        if loss < self.best:
            self.has_recovered = not self.best - loss < NOTABLE * (self.best - self.target)
            self.best = loss
        if self.loss is None:
            self.step, self.loss = step, loss
        if step - self.step < self._least(step):
            self.is_stalled = step > self.step and loss >= self.loss
            return False
        gained, spent = self.loss - loss, step - self.step
        self.step, self.loss = step, loss
        return not (loss - self.target) * spent <= FARTHEST * gained * (step - self.start)

    def is_owed(self, step):
        """Return whether the run needs a test now, since the last one was no better and it may be
        too slow. True once: that test may fail."""
        is_owed = self.is_stalled and step - self.step >= self._least(step)
        self.is_stalled = self.is_stalled and not is_owed
        return is_owed

    def _least(self, step):
        """Return the steps over which the pace is taken."""
        least = self.least if self.best < self.halfway else EARLY_STEPS
        return max(least, LEAST_SHARE_OF_RUN * (step - self.start))
