"""Tests the averaged or the live weights when a test is due, and remembers the best."""

import math
import sys
import time

from policy.driver.batch_norm import has_batch_norm, may_normalise
from policy.driver.losses import as_number
from policy.driver.overfitting import has_overfitted
from policy.driver.plateau import CALM, EARLY_STEPS, Plateau
from policy.driver.room import raise_at_last
from policy.driver.schedule import Schedule

REFRESH = 6  # batches that renew running statistics; momentum 0.1 keeps 0.9^6 = 53 % of the old
PROBE = 4  # test of averaged weights that shows whether statistics matter, where no gradient did
# Where exceptions are defined that no task made its own. Python 3.7 does not list its library.
FOREIGN = {"builtins", "torch", "torchvision", "numpy", "scipy", "PIL"}
FOREIGN |= set(getattr(sys, "stdlib_module_names", ()))
ROUNDING = 1e-5  # of a loss: an accelerator may sum in another order
RECENT_SHARE = 0.5  # of the latest comparison of averaged and live weights


class Tester:
    """Tests a :class:`policy.driver.learner.Learner`.

    Weights are tested inside ``task.state``, since a task may ignore what ``test`` is passed, and
    are always passed too, since without an argument a model may stay in evaluation mode.
    """

    def __init__(self, task, learner, room, trace):
        self.task, self.learner, self.room, self.trace = task, learner, room, trace
        self.schedule = Schedule(learner.target, time.perf_counter())
        self.plateau = Plateau(learner.target)
        self.recent = []  # the last batches
        self.best = math.inf  # test loss
        self.is_testing = False
        self.lag = None  # loss of the averaged weights less that of the live ones
        self.comparing = 0.0  # seconds that went into it, for a test to come
        self.probing = 0.0  # seconds of a test that no other will take
        self.is_in_doubt = may_normalise(task.state)
        # Whether the test depends on running statistics; None: no gradient was looked at yet.
        self.needs_refresh = None if self.is_in_doubt else False
        self.doubtful = 0  # tests of averaged weights in doubt
        self.failures = 0  # tests in a row that found no memory

    def observe(self, loss, steps):
        """Take in the mean training loss of the last ``steps`` steps."""
        self.schedule.observe(loss, steps)

    def remember(self, batch):
        """Keep a batch for renewing running statistics."""
        if self.is_in_doubt or self.needs_refresh:
            self.recent = self.recent[-REFRESH + 1 :] + [batch]

    def is_due(self):
        """Whether to test after the next step. To be asked once after each step."""
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
            self.needs_refresh = has_batch_norm(self.task.state, gradients)
            self.is_in_doubt = not self.needs_refresh
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
        self.learner.mend()
        is_live = self.lag is not None and self.lag > 0
        if is_live:
            loss = self._test_loss(is_live)
        else:
            self.learner.show(self.learner.averaged)
            loss = self._refreshed_test_loss()
        self.learner.show(self.learner.live)
        self.learner.take_aim(loss)
        self.schedule.record(loss, begin + self.probing, time.perf_counter())
        self.probing = 0.0
        self._give_way(loss, self.schedule.forecast)

    def _give_way(self, loss, forecast):
        """Where the run gets better too slowly, lower the rates; where that did not help, or where
        it overfits, begin anew."""
        is_slow = self.plateau.record(self.learner.steps, loss, forecast.halfway())
        best, trained, first = self.plateau.best, forecast.smooth, forecast.first
        overfits = has_overfitted(loss, best, trained, first, self.learner.target)
        has_failed = overfits or is_slow and self.plateau.count > 1
        if has_failed and not self.learner.is_careful:
            self._begin_anew()
        elif is_slow and not (self.learner.is_careful and best >= forecast.halfway()):
            self.learner.lower_rates(CALM)  # but not of a careful run that has yet to get going

    def _begin_anew(self):
        self.learner.restart()
        self.room.batch_size.forget()  # nothing is orthogonalised any more
        # A low rate is no suspect: it gets time.
        self.plateau = Plateau(self.learner.target, self.learner.steps, least=EARLY_STEPS)
        self.lag = None
        self.schedule = self.schedule.renewed(time.perf_counter())

    def leave_best(self, error):
        """Called with the exception that ends the run: leave the best weights in the model.

        The task's own exception comes out of ``test``: then the weights tested are in place.
        """
        is_foreign = type(error).__module__.partition(".")[0] in FOREIGN
        if not self.is_testing or is_foreign or not isinstance(error, Exception):
            self.learner.show_best()

    def _refreshed_test_loss(self):
        """Let batch-norm statistics follow the averaged weights, and test.

        Where the gradient did not tell whether they matter, and the test loss lies above that of
        training, it is found out by testing the same weights before and after. (A noisy test
        differs too; then refreshing is merely spent in vain.)
        """
        if self.needs_refresh:
            self._refresh()
            return self._test_loss()
        self.doubtful += self.is_in_doubt
        loss = self._test_loss()
        is_high = not loss <= self.schedule.forecast.smooth  # as foreign statistics would have it
        if not self.is_in_doubt or self.doubtful < PROBE or not is_high:
            return loss
        before, begin = loss, time.perf_counter()
        self._refresh()
        loss = self._test_loss()
        # Not where one is NaN or infinite.
        self.needs_refresh = not abs(loss - before) < ROUNDING * abs(before)
        self.is_in_doubt = False
        if not self.needs_refresh:
            self.recent, self.probing = [], time.perf_counter() - begin
        return loss

    def _refresh(self):
        for batch in self.recent:
            self._batch_loss(batch)

    def _batch_loss(self, batch):
        """NaN where the oracle fails: nothing that must succeed depends on this loss."""
        try:
            return as_number(self.task.batch_loss(batch))
        except Exception:
            return math.nan

    def _test_loss(self, is_live=False):
        """Test the weights in the model, the live or else the averaged ones; keep the best."""
        self.is_testing = True
        try:
            loss = self.task.test(self.task.state)
        except (MemoryError, RuntimeError) as error:
            self.failures += 1
            raise_at_last(error, self.failures, "in tests")
            self.room.spare()  # a smaller batch would not help: between steps it takes no memory
            loss = math.nan
        else:
            self.failures = 0
        self.is_testing = False
        loss = math.nan if loss is None else float(loss)
        if loss < self.best:
            self.best = loss
            self.learner.keep_best(is_live)
        return loss
