"""Runs a policy on the challenge's oracles until the target test loss is reached.

The contract's traps that shape this code: ``task.state`` aliases the model and is only ever
overwritten in place; gradients are copied before the next oracle call reuses their storage;
candidate weights are tested *inside* ``task.state``, since a task may ignore what ``test`` is
passed; the task's own exception that announces success is never caught.
"""

import math
import time

import torch

from policy.controller import rates_of
from policy.layout import Layout
from policy.step import learned_step_, start_carry

REFRESH = 12  # batches that renew running statistics; momentum 0.1 keeps 0.9^12 = 28 % of the old
PATIENCE = 20  # losses in a row that may be NaN or infinite before the run is given up


def run(task, spec, weights, trace=None):
    """Train ``task`` with a policy; returns only by an exception, in the good case the task's own.

    Args:
        task: object of the challenge's interface.
        spec: :class:`policy.spec.Spec`.
        weights: name -> float32 tensor, shapes in :func:`policy.spec.weight_shapes`.
        trace: list that receives ``(step, [rate of each tensor])`` at each test; the rate of a
            tensor is the sum over its update directions.

    Raises:
        RuntimeError: no training batch at any batch size, or a loss that stays NaN or infinite.
        The task's ``Done``, when its target is reached.
    """
    learner = Learner(task, spec, weights)
    tester = Tester(task, learner, trace)
    batch_size = max(int(task.default_batch_size), 1)
    while True:
        empty = True
        for batch in task.train_iterator(batch_size=batch_size, shuffle=True):
            empty = False
            learner.train_on(batch)
            if tester.is_due():
                tester.test()
        if not empty:
            continue
        if batch_size == 1:
            raise RuntimeError("task.train_iterator yields no batch, even of one sample: no data")
        # Loaders drop an incomplete last batch, so a batch larger than the data set yields nothing.
        batch_size //= 2


class Learner:
    """The live weights and the learned optimizer that moves them."""

    def __init__(self, task, spec, weights):
        if not task.state:
            raise RuntimeError("task.state is empty: there is nothing to train")
        self.task, self.spec = task, spec
        device = task.state[0].device
        self.layout = Layout([p.shape for p in task.state], device=device)
        self.weights = {name: value.to(device) for name, value in weights.items()}
        self.carry = start_carry(spec, self.layout, self.layout.pack(task.state))
        self.live = self.layout.unpack(self.carry.buffers.weight)
        self.candidate = self.layout.unpack(self.carry.buffers.average)
        self.target = self.carry.step.new_tensor(float(task.target_test_loss))
        self.recent = []  # the last batches, to renew running statistics with
        self.steps = 0
        self.failures = 0

    def train_on(self, batch):
        """One oracle call and one step."""
        loss, gradients = self.task.batch_loss_and_gradient(batch)
        self.recent = self.recent[-REFRESH + 1 :] + [batch]
        is_decision = self.steps % self.spec.stride == 0
        # A loss on a device is read at decisions only: reading stalls the queue of kernels.
        if (is_decision or not torch.is_tensor(loss)) and not math.isfinite(loss):
            return self._recover(float(loss))
        self.failures = 0
        self._step(loss, gradients, is_decision)

    @torch.no_grad()
    def _step(self, loss, gradients, is_decision):
        loss = torch.as_tensor(loss, dtype=self.target.dtype, device=self.target.device).detach()
        gradient = self.layout.pack(gradients)
        self.carry = learned_step_(
            self.spec,
            self.weights,
            self.layout,
            self.carry,
            gradient,
            loss,
            self.target,
            is_decision,
        )
        self.steps += 1
        self.show(self.live)

    @torch.no_grad()
    def show(self, tensors):
        """Copy weights into the model."""
        for state, tensor in zip(self.task.state, tensors):
            state.copy_(tensor)

    @torch.no_grad()
    def _recover(self, loss):
        """Go back to the average with fresh moments; give up when that does not help."""
        self.failures += 1
        if self.steps == 0 and self.failures > 1:
            raise RuntimeError(
                f"the task's training loss is {loss} from the start: check its data and initial "
                "weights"
            )
        if self.failures > PATIENCE:
            raise RuntimeError(
                f"the training loss stayed {loss} for {PATIENCE} batches, also after a restart "
                "from the averaged weights"
            )
        buffers = self.carry.buffers
        buffers.weight.copy_(buffers.average)
        for moment in (buffers.fast, buffers.slow, buffers.second):
            moment.zero_()
        self.show(self.live)

    def rates(self):
        """Rate of each tensor, summed over its directions."""
        return rates_of(self.spec, self.carry.memory).sum(-1).tolist()


class Tester:
    """Decides when to test, and tests the averaged weights."""

    def __init__(self, task, learner, trace):
        self.task, self.learner, self.trace = task, learner, trace
        self.begin = time.perf_counter()
        self.last = self.begin
        self.cost = None  # seconds of one test, running average; None before the first
        self.needs_refresh = None  # whether batch statistics influence the test; None: not known

    def is_due(self):
        """The first test after two decisions; then at intervals of 2 sqrt(cost * elapsed).

        With tests of cost c and a crossing at an unknown time T, intervals k sqrt(c t) spend
        2 sqrt(c T) / k on tests and detect the crossing k sqrt(c T) / 2 late on average: k = 2 is
        best.
        """
        if self.cost is None:
            return self.learner.steps >= 2 * self.learner.spec.stride
        now = time.perf_counter()
        return now - self.last >= 2 * math.sqrt(self.cost * (now - self.begin))

    def test(self):
        """Test the average, then restore the live weights."""
        learner, begin = self.learner, time.perf_counter()
        if self.trace is not None:
            self.trace.append((learner.steps, learner.rates()))
        learner.show(learner.candidate)
        if self.needs_refresh is None:
            # Same weights before and after the statistics move: the difference tells whether they
            # matter. A noisy test differs too, and then the refresh is merely spent in vain.
            before = self.task.test(self.task.state)
            self._refresh()
            begin = time.perf_counter()
            self.needs_refresh = before != self.task.test(self.task.state)
        else:
            if self.needs_refresh:
                self._refresh()
            self.task.test(self.task.state)
        learner.show(learner.live)
        self.last = time.perf_counter()
        spent = self.last - begin
        self.cost = spent if self.cost is None else 0.5 * (self.cost + spent)

    def _refresh(self):
        """Let batch-norm statistics follow the candidate weights: forward passes move them."""
        for batch in self.learner.recent:
            self.task.batch_loss(batch)
