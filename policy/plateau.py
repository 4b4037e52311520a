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
EARLY_STEPS = 300  # at least, as long as the loss has not come half of its way: runs may begin flat


class Plateau:
    """Watches the tests of a run that began at step ``start``.

    With ``share`` and ``least`` in place of SHARE and LEAST_STEPS it is more or less patient.
    """

    def __init__(self, start=0, share=SHARE, least=LEAST_STEPS):
        self.best, self.start, self.step = math.inf, start, start
        self.share, self.least = share, least
        self.count = 0  # plateaus since the best test

    def record(self, step, loss, halfway):
        """Take in the loss of a test at a step; whether the run is on a plateau now.

        ``halfway`` is the loss in the middle between the first one and the target.
        """
        if loss < self.best:
            self.best, self.step, self.count = loss, step, 0
        elif step - self.step > self._patience(halfway):
            self.step = step
            self.count += 1
            return True
        return False

    def _patience(self, halfway):
        least = self.least if self.best < halfway else EARLY_STEPS
        return max(self.share * (self.step - self.start), least)
