"""Predicts the test loss from the training loss and the tests made so far.

The training loss is smoothed over the last tenth of the run, as the tested weights are
(`policy.rule.update`). From the last test on, the test loss is expected to move in proportion to
it; the factor and the size of the error are learned from test to test. Nothing is assumed about
sign or offset of either loss.
"""

import math

WINDOW = 10.0  # the smoothed loss covers about 1 / WINDOW of the run
NOISE_DECAY = 0.95
LARGEST = 1e12  # losses are cut here, so that their squares stay finite
FIRST_GAP = 0.06  # sd of test - training loss before any test, over the distance to the target
FIRST_ERROR = 0.25  # squared error of a prediction relative to the predicted change, before any
FIRST_WEIGHT = 2.0  # tests that this guess counts for
ERROR_DECAY, SLOPE_DECAY = 0.8, 0.7  # per test


class Forecast:
    """Estimates the probability that the next test falls below ``target``."""

    def __init__(self, target):
        self.target = target
        self.steps = 0
        self.first = self.smooth = 0.0  # training loss
        self.variance = 0.0  # of an observation around the smoothed loss
        self.share = 1.0  # of that variance which remains in the smoothed loss
        self.tested = None  # (smoothed training loss, test loss) at the last test
        self.error, self.error_weight = FIRST_WEIGHT * FIRST_ERROR, FIRST_WEIGHT
        self.covariance = self.square = 0.0  # of the changes between tests: slope of test on train

    def observe(self, loss, steps):
        """Take in the mean training loss of the last ``steps`` steps; NaN is ignored."""
        if loss != loss:
            return
        loss = max(-LARGEST, min(LARGEST, loss))
        if not self.steps:
            self.first = self.smooth = loss
        self.steps += steps
        deviation = loss - self.smooth
        adapt = max(1 - NOISE_DECAY, steps / self.steps)
        self.variance += adapt * (deviation * deviation - self.variance)
        self.smooth += min(1.0, WINDOW * steps / (self.steps + WINDOW - 1)) * deviation
        # Variance of the polynomial-decay average of t independent terms: W^2 / (2 W - 1) / t.
        self.share = min(1.0, WINDOW * WINDOW / (2 * WINDOW - 1) * steps / self.steps)

    def record(self, test_loss):
        """Take in the outcome of a test; one that is not finite is ignored."""
        if not abs(test_loss) <= LARGEST:
            return
        if self.tested is not None:
            before, tested = self.tested
            change = self.smooth - before
            miss = test_loss - self._expected()
            unit = change * change + self._noise()
            if unit > 0:
                self.error = ERROR_DECAY * self.error + miss * miss / unit
                self.error_weight = ERROR_DECAY * self.error_weight + 1
            self.covariance = SLOPE_DECAY * self.covariance + change * (test_loss - tested)
            self.square = SLOPE_DECAY * self.square + change * change
        self.tested = self.smooth, test_loss

    def halfway(self):
        """Return the loss halfway between the first training loss and the target."""
        return (self.first + self.target) / 2

    def probability(self):
        """Return the probability that a test would be below the target now, by a normal error."""
        if math.isinf(self.target) or self.target != self.target or not self.steps:
            return 1.0 if self.target == math.inf else 0.0
        above, deviation = self._expected() - self.target, self._deviation()
        if deviation <= 0:
            return 1.0 if above < 0 else 0.0
        return 0.5 * math.erfc(above / deviation / math.sqrt(2))

    def _expected(self):
        if self.tested is None:
            return self.smooth
        before, tested = self.tested
        return tested + self._slope() * (self.smooth - before)

    def _slope(self):
        """Return the slope of test on training loss, by ridge regression towards one."""
        ridge = self._noise()
        total = self.square + ridge
        return (self.covariance + ridge) / total if total > 0 else 1.0

    def _deviation(self):
        if self.tested is None:
            return FIRST_GAP * abs(self.first - self.target) + math.sqrt(self._noise())
        change = self.smooth - self.tested[0]
        return math.sqrt(self.error / self.error_weight * (change * change + self._noise()))

    def _noise(self):
        return self.variance * self.share
