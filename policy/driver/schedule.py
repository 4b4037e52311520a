"""Decides when a test is due: when the delay expected so far has cost as much as a test.

Without a test, each second since the target was crossed is lost. If p(u) is the probability that it
had been crossed by time u, the delay expected since the last test is the integral of p; testing
once that equals the cost of a test is the optimum for rare crossings at a constant rate (Keller,
"Optimum checking schedules for systems subject to random failure", Management Science 21(3), 1974).

p is `TRUST` where the training loss says that the target was crossed. The rest is a guess that
needs no loss, a crossing time that is log-uniform: alone it tests at intervals that grow with the
root of the time so far.
"""

import math

from policy.rule.update import averaging

TRUST, GUESS = 1.5, 0.2  # weights of the delays expected from the loss, and without it
# Standard deviations of the forecast: of the way to the target, and of that since the last test.
LEAST_ERROR, ERROR = 0.01, 0.5
FIRST_COST = 10.0  # of a test, in steps, before one was made


class Schedule:
    """When to test ``task.test < target``; ``start`` and all times are seconds on one clock.

    ``cost`` is that of the last test in seconds, None before one was made.
    """

    def __init__(self, target, start, cost=None):
        self.target, self.start, self.cost = target, start, cost
        self.seen = start
        self.last = None  # end of the last test
        self.steps = 0
        self.first = self.smooth = math.inf  # training loss
        self.gap = 0.0  # between test and training loss, at the last test
        self.tested = None  # the latter then
        self.expected_delay = 0.0

    def observe(self, loss, steps):
        """Take in the mean training loss of the last ``steps`` steps, if it is finite."""
        if not math.isfinite(loss):
            return
        if not self.steps:
            self.first = self.smooth = loss
        self.steps += steps
        # Over the last tenth of the run, as the tested weights are.
        self.smooth += min(1.0, steps * averaging(self.steps)) * (loss - self.smooth)

    def halfway(self):
        """Return the loss halfway between the first training loss and the target."""
        return (self.first + self.target) / 2

    def is_due(self, now):
        """Return whether to test now. To be called once after each step.

        Time is counted in steps until the first test: the first steps are often slow ones.
        """
        passed = 1.0 if self.cost is None else now - self.seen
        self.seen = now
        self.expected_delay += passed * (TRUST * self._forecast() + GUESS * self._guess(now))
        return self.expected_delay >= (FIRST_COST if self.cost is None else self.cost)

    def record(self, test_loss, begin, end):
        """Take in a test that did not reach the target, and when it began and ended."""
        if math.isfinite(test_loss):
            self.gap, self.tested = test_loss - self.smooth, self.smooth
        self.cost = end - begin
        self.expected_delay = 0.0
        self.last = self.seen = end

    def _forecast(self):
        """Return the probability, by the training loss, that the target is crossed."""
        ahead = self.smooth + self.gap - self.target
        if not math.isfinite(ahead):  # before any loss, or without a target that it can meet
            return float(ahead < 0)
        moved = 0.0 if self.tested is None else abs(self.smooth - self.tested)
        error = LEAST_ERROR * abs(self.first - self.target) + ERROR * moved
        return math.erfc(ahead / max(error, 1e-12) / math.sqrt(2)) / 2

    def _guess(self, now):
        """Return the probability of a crossing since the last test, if its time is log-uniform."""
        if self.last is None:
            return 1.0
        return 1 - (self.last - self.start) / max(now - self.start, 1e-9)
