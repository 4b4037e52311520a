"""Detects runs that memorise their data: the training loss falls on while the test loss rises.

Fast steps can memorise little data within a hundred steps. Lower rates do not undo that, so the
remedy is a restart. A run memorises if its training loss is below the target, while its test loss
has risen from its lowest by RISEN of the way from the first loss to the target. Two such tests in a
row count, since tests may be noisy.
"""

import math

RISEN = 0.02
IN_A_ROW = 2


class Memorising:
    """Watches the tests of a run towards ``target``."""

    def __init__(self, target):
        self.target = target
        self.best = math.inf
        self.risen = 0  # tests in a row

    def record(self, loss, training_loss, first):
        """Add the loss of a test. Returns whether the run memorises.

        ``training_loss`` is smoothed; ``first`` is the training loss at the start.
        """
        if math.isnan(loss):
            return False
        self.best = min(self.best, loss)
        has_risen = loss > self.best + RISEN * abs(first - self.target)
        self.risen = self.risen + 1 if has_risen and training_loss < self.target else 0
        return self.risen >= IN_A_ROW
