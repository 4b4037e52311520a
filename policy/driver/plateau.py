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
LEAST_SHARE_OF_RUN = 0.1  # the pace is taken over: tests close together differ by their noise
LEAST_STEPS = 60  # the same, at least
EARLY_STEPS = 300  # until the loss has come half of its way: runs may begin flat


class Plateau:
    """Watches the tests of a run towards ``target``."""

    def __init__(self, target):
        self.target = target
        self.best = math.inf
        self.step, self.loss = 0, None  # where the pace is taken from

    def record(self, step, loss, halfway):
        """Take in the loss of a test, unless it is NaN. Returns whether the run is too slow now;
        None if it is too soon to tell.

        ``halfway`` is the loss halfway between the first one and the target.
        """
        if math.isnan(loss):
            return None
        self.best = min(self.best, loss)
        if self.loss is None:
            self.step, self.loss = step, loss
        least = LEAST_STEPS if self.best < halfway else EARLY_STEPS
        if step - self.step < max(least, LEAST_SHARE_OF_RUN * step):
            return None
        gained, spent = self.loss - loss, step - self.step
        self.step, self.loss = step, loss
        return not (loss - self.target) * spent <= FARTHEST * gained * step
