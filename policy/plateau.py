"""Lowers all rates where the run has stopped to get better: the last resort against a miss.

Averaging makes a constant rate nearly as good as a falling one, so it is for rates that are too
high for the task altogether. "Stopped" is relative to the length of the run so far, which needs no
horizon.
"""

import math

CALM = 0.5  # factor on all rates
SHARE = 0.5  # of the steps up to the best test, after which without a better one rates fall
LEAST_STEPS = 100  # so many at least


class Plateau:
    """Watches the tests."""

    def __init__(self):
        self.best, self.step = math.inf, 0

    def record(self, step, loss):
        """Take in the loss of a test at a step; whether to lower the rates now."""
        if loss < self.best:
            self.best, self.step = loss, step
        elif step - self.step > max(SHARE * self.step, LEAST_STEPS):
            self.step = step
            return True
        return False
