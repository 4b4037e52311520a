"""Detects runs that are too slow, and would miss their target.

The remedies are lower rates, where they are too high for the task, and a restart with Adam, where
fast steps have ruined the network. A run is too slow if at its recent pace the target is farther
ahead than FARTHEST times the run so far. That needs no horizon, and spares sound runs: a loss that
falls with the logarithm of time is that far from its target only in the first twentieth (exp(-3))
of its run.
"""

import math

FARTHEST = 3.0
LEAST_SHARE_OF_RUN = 0.1  # that the pace is taken over: close tests differ by their noise
LEAST_STEPS = 60  # that the pace is taken over
EARLY_STEPS = 300  # the same until the loss is halfway to the target: runs may begin flat


class Plateau:
    """Watches the tests of a run towards ``target`` that began at the step ``begin``."""

    def __init__(self, target, begin=0):
        self.target, self.begin = target, begin
        self.best = math.inf
        self.step, self.loss = 0, None  # where the pace is measured from

    def record(self, step, loss, halfway):
        """Add the loss of a test, unless it is NaN. Returns whether the run is too slow; None if it
        is too early to say.

        ``halfway`` is the loss halfway between the first one and the target.
        """
        if math.isnan(loss):
            return None
        step -= self.begin
        self.best = min(self.best, loss)
        if self.loss is None:
            self.step, self.loss = step, loss
        least = LEAST_STEPS if self.best < halfway else EARLY_STEPS
        if step - self.step < max(least, LEAST_SHARE_OF_RUN * step):
            return None
        gained, spent = self.loss - loss, step - self.step
        self.step, self.loss = step, loss
        return not (loss - self.target) * spent <= FARTHEST * gained * step
