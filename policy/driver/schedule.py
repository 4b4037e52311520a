"""Decides when a test is due: when the delay expected so far has cost as much as a test.

Without a test, each second since the target was crossed is lost. If p(u) is the probability that it
had been crossed by time u, the delay expected since the last test is the integral of p; testing
once that equals the cost of a test is the optimum for rare crossings at a constant rate (Keller,
"Optimum checking schedules for systems subject to random failure", Management Science 21(3), 1974).

p mixes the forecast with a guess that needs none, a crossing time that is log-uniform. The weight
of each follows from how probable it held the tests that failed. Alone, the guess would test at
intervals of sqrt(2 * cost * elapsed).
"""

from policy.driver.forecast import Forecast

FIRST_COST = 10.0  # of a test, in steps, before one was made
RECENT = 0.1  # the guess before the first test: not crossed in this first share of the run
TRUST = 0.9  # weight of the forecast at the start, and at most; at least the complement
COST_DECAY = 0.5


class Schedule:
    """When to test ``task.test < target``; ``start`` and all times are seconds on one clock."""

    def __init__(self, target, start):
        self.forecast = Forecast(target)
        self.start = self.seen = start
        self.last = None  # end of the last test
        self.cost = None  # of a test, and of the comparison that precedes it
        self.trust = TRUST
        self.forecasted = 0.0
        self.expected_delay = 0.0

    def renewed(self, now):
        """Return the schedule of a run that restarts now; the cost of a test is known."""
        schedule = Schedule(self.forecast.target, now)
        schedule.cost = self.cost
        return schedule

    def observe(self, loss, steps):
        """Take in the mean training loss of the last ``steps`` steps."""
        self.forecast.observe(loss, steps)
        self.forecasted = self.forecast.probability()

    def is_due(self, now):
        """Return whether to test now. To be called once after each step.

        Time is counted in steps until the first test: the first steps are often slow ones.
        """
        passed = 1.0 if self.cost is None else now - self.seen
        self.seen = now
        crossed = self.trust * self.forecasted + (1 - self.trust) * self._guess(now)
        self.expected_delay += crossed * passed
        return self.expected_delay >= (FIRST_COST if self.cost is None else self.cost)

    def is_paid(self, now):
        """Return whether as much time has passed since the last test as one takes."""
        return self.last is not None and now - self.last >= self.cost

    def record(self, test_loss, begin, end):
        """Take in a test that did not reach the target, and when it began and ended, or would have
        begun without the step between its comparison and itself."""
        by_forecast = self.trust * (1 - self.forecasted)
        by_guess = (1 - self.trust) * (1 - self._guess(begin))
        if by_forecast + by_guess > 0:
            posterior = by_forecast / (by_forecast + by_guess)
            self.trust = max(1 - TRUST, min(TRUST, posterior))
        self.forecast.record(test_loss)
        self.forecasted = self.forecast.probability()
        spent = end - begin
        self.cost = spent if self.cost is None else self.cost + COST_DECAY * (spent - self.cost)
        self.expected_delay = 0.0
        self.last = self.seen = end

    def _guess(self, now):
        """Return the probability of a crossing since the last test, if its time is log-uniform."""
        if self.last is None:
            return 1 - RECENT
        return 1 - (self.last - self.start) / max(now - self.start, 1e-9)
