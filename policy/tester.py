"""Tests the averaged weights when a test is due, and remembers the best."""

import math
import time

from policy.schedule import Schedule

REFRESH = 12  # batches that renew running statistics; momentum 0.1 keeps 0.9^12 = 28 % of the old


class Tester:
    """Tests a :class:`policy.learner.Learner`.

    Weights are tested inside ``task.state``, since a task may ignore what ``test`` is passed, and
    are always passed too, since without an argument a model may stay in evaluation mode.
    """

    def __init__(self, task, learner, trace):
        self.task, self.learner, self.trace = task, learner, trace
        self.schedule = Schedule(float(task.target_test_loss), time.perf_counter())
        self.recent = []  # the last batches
        self.best = math.inf  # test loss
        self.is_testing = False
        self.needs_refresh = None  # whether the test depends on running statistics; None: not known
        self.refreshing = 0.0  # seconds spent on refreshing

    def observe(self, loss, steps):
        """Take in the mean training loss of the last ``steps`` steps."""
        self.schedule.observe(loss, steps)

    def remember(self, batch):
        """Keep a batch for renewing running statistics."""
        if self.needs_refresh is not False:
            self.recent = self.recent[-REFRESH + 1 :] + [batch]

    def is_due(self):
        """Whether to test now. To be asked once after each step."""
        return self.schedule.is_due(time.perf_counter())

    def test(self):
        """Test the average, then restore the live weights."""
        if self.trace is not None:
            self.trace.append((self.learner.steps, self.learner.rates()))
        begin = time.perf_counter()
        self.learner.show(self.learner.averaged)
        loss = self._refreshed_loss()
        if loss < self.best:
            self.best = loss
            self.learner.keep_best()
        self.learner.show(self.learner.live)
        self.schedule.record(loss, begin, time.perf_counter())

    def leave_best(self, error):
        """Called with the exception that ends the run: leave the best weights in the model.

        The task's own exception comes out of ``test``: then the weights tested are in place.
        """
        if self.is_testing and isinstance(error, Exception):
            return
        self.learner.show_best()

    def _refreshed_loss(self):
        """Let batch-norm statistics follow the weights; forward passes move them.

        Whether they matter is found out by testing the same weights before and after, once
        refreshing has cost as much as that test will. (A noisy test differs too; then refreshing
        is merely spent in vain.)
        """
        if self.needs_refresh is False:
            return self._loss()
        cost = self.schedule.cost
        is_probe = self.needs_refresh is None and cost is not None and self.refreshing > cost
        before = self._loss() if is_probe else None
        begin = time.perf_counter()
        for batch in self.recent:
            self.task.batch_loss(batch)
        self.refreshing += time.perf_counter() - begin
        loss = self._loss()
        if is_probe:
            self.needs_refresh = loss != before
        return loss

    def _loss(self):
        self.is_testing = True
        loss = self.task.test(self.task.state)
        self.is_testing = False
        return math.nan if loss is None else float(loss)
