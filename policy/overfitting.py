"""Tells where a run learns its data by heart: it begins anew then, at once.

Test losses rise while training losses lie far below the target, and lower rates do not help: they
learn by heart, too. What :mod:`policy.plateau` would find out by two slow stretches shows in one
test.
"""

import math

WORSE = 0.02  # than the best test, over the distance from the first training loss to the target
DEEP = 0.2  # below the target the training loss lies, over the same


class Overfitting:
    """Watches tests of a run towards ``target``."""

    def __init__(self, target):
        self.target = target
        self.best = math.inf

    def record(self, loss, trained, first):
        """Take in the loss of a test; whether the run has overfitted.

        ``trained`` is the smoothed training loss of now, ``first`` the first one.
        """
        self.best = min(self.best, loss)
        gap = first - self.target
        is_worse = loss - self.best > WORSE * gap
        return is_worse and gap > 0 and self.target - trained > DEEP * gap
