"""Tests the averaged weights when a test is due, and remembers the best."""

import math
import time

from policy.driver.batch_norm import has_batch_norm, may_normalise
from policy.driver.judge import Judge
from policy.driver.losses import as_number
from policy.driver.rescue import (
    BAD_WEIGHTS,
    NO_TEST_MEMORY,
    ON_PACE,
    RESTART,
    STUCK,
    TOO_SLOW,
    is_known,
    is_out_of_memory,
)
from policy.driver.schedule import Schedule

# Numbers of batches that renew running statistics. With a momentum of 0.1, n batches leave 0.9^n
# of the old ones: a tenth in the first FAST_STEPS steps, when weights change fast, later more. The
# last LEAST_REFRESH batches are used in rotation.
REFRESH, LEAST_REFRESH, FAST_STEPS = 22, 6, 30
LAST_SECONDS = 1.0  # limit for renewing statistics when the run is ended from outside
ROUNDING = 1e-5  # relative error of a loss: an accelerator may sum in another order


class Tester:
    """Tests a :class:`policy.driver.learner.Learner`.

    Weights are copied into ``task.state``, since a task may ignore the argument of ``test``. They
    are passed, too, since without an argument a model may stay in evaluation mode.
    """

    def __init__(self, task, learner, rescue, trace):
        self.task, self.learner, self.rescue, self.trace = task, learner, rescue, trace
        self._begin()
        self.recent = []  # the latest batches
        self.best = math.inf  # test loss
        self.is_testing = False
        self.begin = 0.0  # of the latest test
        # Whether tests depend on running statistics; None until a gradient or a test shows it.
        self.needs_refresh = None
        self.may_normalise = may_normalise(task.state)
        self.unrenewed = 0  # tests in a row whose statistics could not be renewed

    def observe(self, loss, steps):
        """Add the mean training loss of the last ``steps`` steps."""
        self.schedule.observe(loss, steps)

    def remember(self, batch, gradients):
        """Keep a batch for renewing running statistics, if tests depend on them.

        The gradient is examined at the second step, when layers behind one that began at zero have
        one.
        """
        if self.needs_refresh is None and self.learner.steps == 1:
            if has_batch_norm(self.task.state, gradients):
                self.needs_refresh = True
            elif not self.may_normalise:
                self.needs_refresh = False
        if self.needs_refresh is False:
            self.recent = []
        else:
            self.recent = self.recent[1 - LEAST_REFRESH :] + [batch]

    def is_due(self):
        """Return whether to test now. Call it once after each step."""
        return self.schedule.is_due(time.perf_counter())

    def test(self):
        """Test the averaged weights, then restore the live ones."""
        if self.trace is not None:
            self.trace.append((self.learner.steps, self.learner.rates()))
        self.learner.wait()
        self.begin = time.perf_counter()
        if not self.learner.is_finite():
            self.rescue.meet(BAD_WEIGHTS)
        self.learner.show(self.learner.averaged)
        loss = self._trusted_test_loss()
        if loss < self.best:
            self.best = loss
            self.learner.keep_best()
        self.learner.show(self.learner.live)
        self.schedule.record(loss, self.begin, time.perf_counter())
        if self.rescue.can_restart():
            self._judge(loss)

    def _begin(self, cost=None):
        """Begin to count time and steps; ``cost``: seconds of the last test."""
        self.schedule = Schedule(self.learner.target, time.perf_counter(), cost)
        self.judge = Judge(self.learner.target)

    def _judge(self, loss):
        """Lower the rates, or restart the run, if it is not on pace. Once restarted it may be slow,
        as the baseline is, unless it is stuck."""
        seen = self.schedule
        verdict = self.judge.verdict(seen.steps, loss, seen.smooth, seen.first)
        if verdict == ON_PACE:
            self.rescue.over(TOO_SLOW)
        elif verdict == STUCK or verdict and not self.rescue.restarts:
            if self.rescue.meet(verdict) == RESTART:
                self._begin(seen.cost)

    def leave_best(self, error):
        """Copy the best weights into the model when an exception ends the run. If ``test`` raised
        it, the weights that were tested stay."""
        if not self.is_testing or isinstance(error, KeyboardInterrupt):
            self.learner.show_best()
            self._renew_statistics(LAST_SECONDS)

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
        is_high = not before <= self.schedule.smooth  # as foreign statistics would have it
        if self.needs_refresh is False or not self.recent or not is_high:
            return before
        is_renewed = self._renew_statistics()
        self.begin = time.perf_counter()  # no other test will be made twice
        loss = self._test_loss()
        # A noisy test differs, too, but is higher half of the time. NaN may come from statistics.
        self.needs_refresh = is_renewed and not before - loss <= ROUNDING * abs(before)
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
        """Return the loss of a batch; NaN if the oracle fails, as the run does not depend on it."""
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
    """Return the number of batches that renew running statistics at this step."""
    fewer = math.log(max(step / FAST_STEPS, 1.0)) / -math.log(0.9)
    return max(LEAST_REFRESH, REFRESH - int(fewer))
