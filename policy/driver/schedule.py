"""Decides when a test is due: when the delay expected so far has cost as much as a test.

Every second between the crossing of the target and the next test is lost. If p(u) is the
probability that the target had been crossed by time u, the delay expected since the last test is
the integral of p. For rare crossings at a constant rate it is optimal to test once that equals the
cost of a test (Keller, "Optimum checking schedules for systems subject to random failure",
Management Science 21(3), 1974).

The training loss gives one probability, which counts `TRUST` times. A guess that needs no loss, a
log-uniform crossing time, is added with the weight `GUESS`: alone it tests at intervals that grow
with the root of the time so far.
"""

import math

from policy.rule.update import averaging

TRUST, GUESS = 1.5, 0.2  # weights of the delays expected from the loss, and without it
# Standard deviation of the forecast: shares of the way from the first loss to the target, and of
# what the loss has moved since the last test.
LEAST_ERROR, ERROR = 0.01, 0.5
FIRST_COST = 10.0  # of a test, in steps, before one was made


class Schedule:
    """Decides when to test whether the target is reached. All times are seconds on one clock.

    Args:
        target: test loss to reach.
        start: time at which the run began.
        cost: seconds of the last test; None before the first one.
    """

    def __init__(self, target, start, cost=None):
        self.target, self.start, self.cost = target, start, cost
        self.seen = start
        self.last = None  # end of the last test
        self.steps = 0
        self.first = self.smooth = math.inf  # training loss
        self.gap = 0.0  # test loss minus training loss, at the last test
        self.tested = None  # training loss at the last test
        self.expected_delay = 0.0

    def observe(self, loss, steps):
        """Add the mean training loss of the last ``steps`` steps, if it is finite."""
        if not math.isfinite(loss):
            return
        if not self.steps:
            self.first = self.smooth = loss
        self.steps += steps
        # Over the last tenth of the run, as the tested weights are.
        self.smooth += min(1.0, steps * averaging(self.steps)) * (loss - self.smooth)

    def is_due(self, now):
        """Return whether to test now. Call it once after each step.

        Until the first test, time is counted in steps, since the first ones are often slow.
        """
        passed = 1.0 if self.cost is None else now - self.seen
        self.seen = now
        self.expected_delay += passed * (TRUST * self._forecast() + GUESS * self._guess(now))
        return self.expected_delay >= (FIRST_COST if self.cost is None else self.cost)

    def record(self, test_loss, begin, end):
        """Add a test that did not reach the target, and when it began and ended."""
        if math.isfinite(test_loss):
            self.gap, self.tested = test_loss - self.smooth, self.smooth
        self.cost = end - begin
        self.expected_delay = 0.0
        self.last = self.seen = end

    def _forecast(self):
        """Return the probability that the target is crossed, given the training loss."""
        ahead = self.smooth + self.gap - self.target
        if not math.isfinite(ahead):  # before any loss, or with an infinite target
            return float(ahead < 0)
        moved = 0.0 if self.tested is None else abs(self.smooth - self.tested)
        error = LEAST_ERROR * abs(self.first - self.target) + ERROR * moved
        return math.erfc(ahead / max(error, 1e-12) / math.sqrt(2)) / 2

    def _guess(self, now):
        """Return the probability of a crossing since the last test, if its time is log-uniform."""
        if self.last is None:
            return 1.0
        return 1 - (self.last - self.start) / max(now - self.start, 1e-9)
