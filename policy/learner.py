"""The live weights, and the learned optimizer that moves them."""

import torch

from policy.controller import rates_of
from policy.layout import Layout
from policy.step import learned_step_, start_carry

PATIENCE = 20  # losses in a row that may be NaN or infinite before the run is given up
BACK_OFF = 0.5  # of all rates, at each recovery after the first


class Learner:
    """Moves the weights of ``task.state``, which is only ever overwritten in place.

    Memory: seven float32 per weight between steps (weights, three moments, average, best weights,
    packed gradient), two more during a step.
    """

    def __init__(self, task, spec, weights):
        if not task.state:
            raise RuntimeError("task.state is empty: there is nothing to train")
        self.task, self.spec = task, spec
        device = task.state[0].device
        self.layout = Layout([p.shape for p in task.state], device=device)
        self.weights = {name: value.to(device) for name, value in weights.items()}
        self.carry = start_carry(spec, self.layout, self.layout.pack(task.state))
        self.target = self.carry.step.new_tensor(float(task.target_test_loss))
        self.live = self.layout.unpack(self.carry.buffers.weight)
        self.averaged = self.layout.unpack(self.carry.buffers.average)
        self.best = self.carry.buffers.weight.clone()
        self.steps = self.recoveries = self.failures = 0

    @torch.no_grad()
    def step(self, loss, gradients):
        """One step. ``gradients`` are copied: the next oracle call may reuse their storage."""
        self.failures = 0
        gradient = self.layout.pack(self._dense(gradients))
        loss = torch.as_tensor(loss, dtype=self.target.dtype, device=self.target.device).detach()
        self.carry = learned_step_(
            self.spec,
            self.weights,
            self.layout,
            self.carry,
            gradient,
            loss,
            self.target,
            self.steps % self.spec.stride == 0,
        )
        self.steps += 1
        self.show(self.live)

    @torch.no_grad()
    def show(self, tensors):
        """Copy weights into the model."""
        for state, tensor in zip(self.task.state, tensors):
            state.copy_(tensor)

    @torch.no_grad()
    def keep_best(self):
        """Remember the averaged weights as the best ones seen."""
        self.best.copy_(self.carry.buffers.average)

    def show_best(self):
        """Put the best weights seen into the model; at first these are the initial ones."""
        self.show(self.layout.unpack(self.best))

    @torch.no_grad()
    def recover(self, loss):
        """After a ``loss`` that is not finite: back to sound weights, with fresh moments.

        Raises RuntimeError when that does not help.
        """
        self.failures += 1
        if self.steps == 0 and self.failures > 1:
            raise RuntimeError(
                f"the task's training loss is {loss} from the start: check its data and initial "
                "weights"
            )
        if self.failures > PATIENCE:
            raise RuntimeError(
                f"the training loss stayed {loss} for {PATIENCE} batches, also after a restart "
                "from sound weights"
            )
        self._restore()

    def _restore(self):
        buffers = self.carry.buffers
        if not is_finite(buffers.average):
            buffers.average.copy_(self.best)
        buffers.weight.copy_(buffers.average)
        for moment in (buffers.fast, buffers.slow, buffers.second):
            moment.zero_()
        if self.failures == 1:
            self.recoveries += 1
            if self.recoveries > 1:
                self.spec = self.spec._replace(base_rate=BACK_OFF * self.spec.base_rate)
        self.show(self.live)

    def rates(self):
        """Rate of each tensor, summed over its directions."""
        return rates_of(self.spec, self.carry.memory).sum(-1).tolist()

    def _dense(self, gradients):
        if len(gradients) != len(self.layout):
            raise RuntimeError(
                f"the task gave {len(gradients)} gradients for {len(self.layout)} tensors in "
                "task.state; it must give one for each"
            )
        return [
            torch.zeros_like(state) if g is None else g.to_dense() if g.is_sparse else g
            for g, state in zip(gradients, self.task.state)
        ]


def is_finite(tensor):
    """Whether no entry is NaN or infinite."""
    return bool((tensor - tensor == 0).all())
