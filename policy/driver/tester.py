"""Tests the averaged or the live weights when a test is due, and remembers the best."""

import math
import time

from policy.driver.batch_norm import has_batch_norm, may_normalise
from policy.driver.losses import as_number
from policy.driver.plateau import EARLY_STEPS, Plateau
from policy.driver.rescue import (
    BAD_WEIGHTS,
    NO_TEST_MEMORY,
    RESTART,
    TOO_SLOW,
    is_known,
    is_out_of_memory,
)
from policy.driver.schedule import Schedule

# Batches that renew running statistics of momentum 0.1: n leave 0.9^n of the old ones. A tenth is
# left while weights change as fast as in the first steps; later fewer batches suffice.
REFRESH, LEAST_REFRESH, FAST_STEPS = 22, 6, 30
KEPT = 8  # batches kept for that, used in rotation
LAST_SECONDS = 1.0  # in which statistics are renewed when the run is ended from outside
ROUNDING = 1e-5  # of a loss: an accelerator may sum in another order
RECENT_SHARE = 0.5  # of the latest comparison of averaged and live weights


class Tester:
    """Tests a :class:`policy.driver.learner.Learner`.

    Weights are tested inside ``task.state``, since a task may ignore what ``test`` is passed, and
    are always passed too, since without an argument a model may stay in evaluation mode.
    """

    def __init__(self, task, learner, rescue, trace):
        self.task, self.learner, self.rescue, self.trace = task, learner, rescue, trace
        self.schedule = Schedule(learner.target, time.perf_counter())
        self.plateau = Plateau(learner.target)
        self.recent = []  # the last batches
        self.best = math.inf  # test loss
        self.is_testing = False
        self.lag = None  # loss of the averaged weights less that of the live ones
        self.comparing = 0.0  # seconds that went into it, for a test to come
        self.probing = 0.0  # seconds of a test that no other will take
        # Whether tests depend on running statistics; None until a gradient or a test shows it.
        self.needs_refresh = None
        self.may_normalise = may_normalise(task.state)
        self.unrenewed = 0  # tests in a row whose statistics could not be renewed

    def observe(self, loss, steps):
        """Take in the mean training loss of the last ``steps`` steps."""
        self.schedule.observe(loss, steps)

    def remember(self, batch):
        """Keep a batch for renewing running statistics."""
        if self.needs_refresh is not False:
            self.recent = self.recent[-KEPT + 1 :] + [batch]

    def is_due(self):
        """Return whether to test after the next step. To be called once after each step."""
        now = time.perf_counter()
        is_due = self.schedule.is_due(now)
        return is_due or self.schedule.is_paid(now) and self.plateau.is_owed(self.learner.steps)

    def compare(self, batch, live_loss, gradients):
        """Compare averaged and live weights on a batch that neither was trained on, of which loss
        and gradients of the live weights are known.

        Where the loss falls fast, the average lags behind; where gradients are noisy, it leads. On
        one batch the two losses differ by little noise.
        """
        live_loss = as_number(live_loss)  # an accelerator has its steps to make until then
        begin = time.perf_counter()
        if self.needs_refresh is None:
            self._look_for_batch_norm(gradients)
        self.learner.show(self.learner.averaged)
        lag = self._batch_loss(batch) - live_loss
        self.learner.show(self.learner.live)
        if not math.isnan(lag):
            self.lag = lag if self.lag is None else self.lag + RECENT_SHARE * (lag - self.lag)
        self.comparing = time.perf_counter() - begin

    def test(self):
        """Test the better of the averaged and the live weights, then restore the live ones."""
        if self.trace is not None:
            self.trace.append((self.learner.steps, self.learner.rates()))
        begin, self.comparing = time.perf_counter() - self.comparing, 0.0
        if not self.learner.is_finite():
            self.rescue.meet(BAD_WEIGHTS)
        is_live = self.lag is not None and self.lag > 0
        if not is_live:
            self.learner.show(self.learner.averaged)
        loss = self._trusted_test_loss()
        if loss < self.best:
            self.best = loss
            self.learner.keep_best(is_live)
        self.learner.show(self.learner.live)
        self.learner.take_aim(loss)
        self.schedule.record(loss, begin + self.probing, time.perf_counter())
        self.probing = 0.0
        self._judge(loss, self.schedule.forecast.halfway())

    def _judge(self, loss, halfway):
        """Have rates lowered, or the run restarted, where it is too slow. A restarted run gets time
        until its loss has come halfway."""
        is_slow = self.plateau.record(self.learner.steps, loss, halfway)
        if self.plateau.has_recovered:
            self.rescue.over(TOO_SLOW)
        if not is_slow or self.learner.is_careful and self.plateau.best >= halfway:
            return
        if self.rescue.meet(TOO_SLOW) == RESTART:  # a low rate is no suspect: it gets time
            self.plateau = Plateau(self.learner.target, self.learner.steps, least=EARLY_STEPS)
            self.schedule = self.schedule.renewed(time.perf_counter())
            self.lag = None

    def leave_best(self, error):
        """Put the best weights into the model when an exception ends the run.

        Not when ``test`` raised it: then the weights that reached the target are in place.
        """
        if not self.is_testing or isinstance(error, KeyboardInterrupt):
            self.learner.show_best()
            self._renew_statistics(LAST_SECONDS)

    def _look_for_batch_norm(self, gradients):
        if has_batch_norm(self.task.state, gradients):
            self.needs_refresh = True
        elif not self.may_normalise:
            self.needs_refresh, self.recent = False, []

    def _trusted_test_loss(self):
        """Return the test loss of the weights in the model with their own statistics; NaN if these
        could not be renewed.

        If the gradient did not show whether statistics matter, and the test loss lies above the
        training loss, the same weights are tested before and after renewing them.
        """
        if self.needs_refresh:
            is_renewed = self._renew_statistics()
            loss = self._test_loss()
            self.unrenewed = 0 if is_renewed else self.unrenewed + 1
            self.needs_refresh = self.unrenewed < 2  # the task has no forward pass to offer
            return loss if is_renewed else math.nan
        before = self._test_loss()
        is_high = not before <= self.schedule.forecast.smooth  # as foreign statistics would have it
        if not self.recent or not is_high:
            return before
        begin = time.perf_counter()
        is_renewed = self._renew_statistics()
        loss = self._test_loss()
        # A noisy test differs, too, but half of the time it is higher; NaN may be due to them.
        self.needs_refresh = is_renewed and not before - loss <= ROUNDING * abs(before)
        if not self.needs_refresh:
            self.recent, self.probing = [], time.perf_counter() - begin
        return loss

    def _renew_statistics(self, most=math.inf):
        """Renew batch norm's running statistics for the weights in the model, within ``most``
        seconds. Returns whether that succeeded."""
        begin = time.perf_counter()
        for i in range(refreshes(self.learner.steps) if self.recent else 0):
            if math.isnan(self._batch_loss(self.recent[i % len(self.recent)])):
                return False
            if time.perf_counter() - begin > most:
                break
        return bool(self.recent)

    def _batch_loss(self, batch):
        """Return the loss of a batch, NaN where the oracle fails: nothing depends on it."""
        try:
            return as_number(self.task.batch_loss(batch))
        except (MemoryError, RuntimeError) as error:
            if not is_known(error):
                raise
            return math.nan

    def _test_loss(self):
        """Test the weights in the model."""
        self.is_testing = True
        try:
            loss = self.task.test(self.task.state)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            self.is_testing = False
            self.rescue.meet(NO_TEST_MEMORY, error)
            return math.nan
        self.rescue.over(NO_TEST_MEMORY)
        self.is_testing = False
        return math.nan if loss is None else float(loss)


def refreshes(step):
    """Return the number of batches that renew running statistics at a step."""
    fewer = math.log(max(step / FAST_STEPS, 1.0)) / -math.log(0.9)
    return max(LEAST_REFRESH, REFRESH - int(fewer))
