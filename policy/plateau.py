"""Tells where the run has stopped to get better: against a miss.

Averaging makes a constant rate nearly as good as a falling one, so it is for rates that are too
high for the task altogether, which are then lowered, and for small data sets that fast steps
overfit, where the run begins anew with Adam's. "Stopped" is relative to the length of the run so
far, which needs no horizon.
"""

import math

CALM = 0.5  # factor on all rates
SHARE = 0.5  # of the steps up to the best test, after which without a better one rates fall
LEAST_STEPS = 60  # so many at least


class Plateau:
    """Watches the tests of a run that began at step ``start``."""

    def __init__(self, start=0):
        self.best, self.start, self.step = math.inf, start, start
        self.count = 0  # plateaus since the best test

    def record(self, step, loss):
        """Take in the loss of a test at a step; whether to lower the rates now."""
        if loss < self.best:
            self.best, self.step, self.count = loss, step, 0
        elif step - self.step > max(SHARE * (self.step - self.start), LEAST_STEPS):
            self.step = step
            self.count += 1
            return True
        return False
