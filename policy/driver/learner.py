"""The live weights, and the learned optimizer that moves them."""

import math

import torch

from policy.driver.losses import is_at_hand
from policy.driver.room import raise_unless_out_of_memory
from policy.rule.controller import of_adam, rates_of
from policy.rule.copies import copy_each
from policy.rule.layout import Layout
from policy.rule.signal import aim, start_signal
from policy.rule.step import learned_step_, start_carry, with_rates

CAREFUL_RATE = 1e-3  # of Adam alone, after a new beginning: the default of its paper
PATIENCE = 20  # losses in a row that may be NaN or infinite before the run is given up
BACK_OFF = 0.5  # of all rates, at each return to sound weights after the first
LEAST_SHARE = 1e-3  # of the mean in a gradient: what a pair of them can't tell from none
LEAST_SQUARE = 1e-30
BLOCK = 64  # rows or columns that are orthogonalised together where more would take long
LARGEST_GRADIENT = 1e15  # gradients are cut here where one was harmful: their squares stay finite


class Learner:
    """Moves the weights of ``task.state``, which is only ever overwritten in place.

    Memory: eight float32 per weight between steps (weights, three moments, average, packed
    gradient, direction, and from the first test on the best weights), a few more during a step; on
    the host a copy of the initial weights.

    Raises RuntimeError for a task without tensors, for a target that is NaN, and where the first
    seven find no room.
    """

    def __init__(self, task, spec, weights):
        if not task.state:
            raise RuntimeError("task.state is empty: there is nothing to train")
        self.target = self.aim = float(task.target_test_loss)
        if math.isnan(self.target):
            raise RuntimeError("task.target_test_loss is NaN: give the test loss to reach")
        self.task, self.spec = task, spec
        device = task.state[0].device
        self.is_on_host = device.type == "cpu"
        self.layout = Layout([p.shape for p in task.state], device=device)
        self.weights = weights and {name: value.to(device) for name, value in weights.items()}
        self.initial = [p.detach().cpu().clone() for p in task.state]
        try:
            weight = self.layout.pack(task.state)
            self._begin(weight)
            self.gradient, self.direction = torch.zeros_like(weight), torch.zeros_like(weight)
        except (MemoryError, RuntimeError) as error:
            raise_unless_out_of_memory(error)
            count = sum(self.layout.numels)
            raise RuntimeError(
                f"{count:,} weights need {28 * count:,} bytes beside the model, more than {device} "
                "has free: free some, or train on a device with more memory"
            ) from error
        self.loss = None  # the last that was finite, on an accelerator
        self.gradients = self.layout.unpack(self.gradient)
        self.is_careful = False  # whether it began anew
        self.best = None  # packed; before the first test the initial weights are the best
        self.steps = 0
        self.has_begun = False  # whether any loss was finite
        self.failures = 0  # losses since the last finite one
        self.is_restored = False  # whether sound weights were restored since then
        self.restorations = 0
        self.rate_factor = 1.0
        self.is_holding = False  # whether a gradient of the present weights is kept

    def _begin(self, weight):
        # Step and losses are numbers on the host: no kernels for them.
        start = start_carry(self.spec, self.layout, weight)
        self.carry = start._replace(step=0.0, signal=start_signal(0.0))
        self.live = self.layout.unpack(self.carry.buffers.weight)
        self.averaged = self.layout.unpack(self.carry.buffers.average)

    @torch.no_grad()
    def restart(self):
        """Begin anew from the initial weights with Adam at a constant rate; the best are kept.

        Whatever made the run fail, units, orthogonal steps or the policy, is then left behind.
        """
        self.show(self.initial)
        self.weights, self.is_careful, self.is_holding = None, True, False
        self.layout.leave_out()  # nothing moves along an orthogonal direction
        self.carry = self.live = self.averaged = None  # their memory is needed for the new ones
        self.spec = self.spec._replace(base_rate=self.rate_factor * CAREFUL_RATE)
        self._begin(self.layout.pack(self.task.state))
        self.carry = self.carry._replace(memory=of_adam(self.carry.memory))
        self._renew_rates()

    def divide(self):
        """Make updates cheaper: wide matrices and filters are orthogonalised in blocks. On a CPU
        alone, since elsewhere it is the number of kernels that counts."""
        if self.is_on_host:
            self.layout.divide(BLOCK)

    def wait(self):
        """Wait for the steps made so far, which an accelerator makes after the call."""
        self.layout.sizes[0].item()

    @torch.no_grad()
    def step(self, loss, gradients):
        """One step. ``gradients`` are copied: the next oracle call may reuse their storage.

        Returns the noise scale of a gradient if one was held, else None.
        """
        self._pack(gradients)
        noise = self._join() if self.is_holding else None
        if self.restorations or not self._is_sound():
            self.gradient.masked_fill_(self.gradient - self.gradient != 0, 0.0)  # NaN or infinite
        if self.restorations:
            self.gradient.clamp_(-LARGEST_GRADIENT, LARGEST_GRADIENT)
        if torch.is_tensor(loss):
            loss = loss.detach().to(self.gradient.dtype).reshape(())
        loss = float(loss) if is_at_hand(loss) else self._finite(loss)
        self.carry = learned_step_(
            self.spec,
            self.weights,
            self.layout,
            self.carry,
            self.gradient,
            loss,
            self.aim,
            self.weights is not None and self.steps % self.spec.stride == 0,
            self.direction,
        )
        self.steps += 1
        self.show(self.live)
        return noise

    def _is_sound(self):
        """Whether all of a gradient is finite, where that can be told without waiting. One that is
        not makes the running statistics of batch norm NaN for good."""
        return self.is_on_host and math.isfinite(float(self.gradient.sum()))

    def _finite(self, loss):
        """A loss on an accelerator, or the last finite one in its place: it is read only later, and
        one that is not finite would stay in what the controller sees for good."""
        last = loss if self.loss is None else self.loss
        self.loss = torch.where(loss - loss == 0, loss, last)
        return self.loss

    def take_aim(self, tested):
        """Let the controller know the loss of a test made now."""
        if math.isfinite(tested):
            self.aim = aim(self.carry.signal, self.target, tested)

    @torch.no_grad()
    def show(self, tensors):
        """Copy weights into the model."""
        copy_each(zip(self.task.state, tensors))

    @torch.no_grad()
    def keep_best(self, is_live):
        """Remember the live or else the averaged weights as the best ones seen."""
        found = self.carry.buffers.weight if is_live else self.carry.buffers.average
        if self.best is None:
            self.best = duplicate(found)
        else:
            self.best.copy_(found)

    def show_best(self):
        """Put the best weights seen into the model; at first these are the initial ones."""
        self.show(self._best_tensors())

    def _best_tensors(self):
        return self.initial if self.best is None else self.layout.unpack(self.best)

    def accepts(self, loss):
        """Whether a training loss is finite, so that its step may be made.

        A single loss that is not may be that of a bad batch, which is left out. If the next is not
        either, or the weights are not, sound ones are restored. Raises RuntimeError when that does
        not help.
        """
        if math.isfinite(loss):
            self.has_begun, self.failures, self.is_restored = True, 0, False
            return True
        self.failures += 1
        if self.failures > PATIENCE:
            when = "also after a return to sound weights" if self.has_begun else "from the start"
            raise RuntimeError(
                f"the task's training loss is {loss} for {PATIENCE} batches or more, {when}: check "
                "its data and initial weights"
            )
        if self.failures > 1 or not is_finite(self.carry.buffers.weight):
            self._restore()
        return False

    def lower_rates(self, factor):
        """Multiply all rates, present and future ones."""
        self.spec = self.spec._replace(base_rate=factor * self.spec.base_rate)
        self._renew_rates()

    def _renew_rates(self):
        self.carry = with_rates(self.spec, self.layout, self.carry)

    def scale_rates(self, factor):
        """Rates are to be ``factor`` times those that the policy decides on."""
        if factor != self.rate_factor:
            self.lower_rates(factor / self.rate_factor)
            self.rate_factor = factor

    def mend(self):
        """Restore sound weights where gradients too large for float32 spoiled the buffers."""
        if not all(is_finite(matrix) for matrix in self.carry.buffers):
            self._restore()

    @torch.no_grad()
    def _restore(self):
        """Back to the averaged weights, or the best where these are no help; fresh moments."""
        buffers, self.is_holding = self.carry.buffers, False
        if self.is_restored or not is_finite(buffers.average):
            buffers.average.zero_()  # the padding too
            for average, best in zip(self.averaged, self._best_tensors()):
                average.copy_(best)
        buffers.weight.copy_(buffers.average)
        for moment in (buffers.fast, buffers.slow, buffers.second):
            moment.zero_()
        if not self.is_restored:
            self.is_restored = True
            self.restorations += 1
            if self.restorations > 1:
                self.lower_rates(BACK_OFF)
        self.show(self.live)

    @torch.no_grad()
    def hold(self, gradients):
        """Keep a gradient, so that the next step, on another batch, tells its noise."""
        self._pack(gradients)
        self.direction.copy_(self.gradient)  # which is free between steps
        self.is_holding = True

    def _join(self):
        """Take the mean with the gradient that was held, of the same weights. Returns the noise
        scale of either, ``tr(covariance) / |mean|^2``: their product has the mean's square, their
        squares have the covariance as well."""
        held, gradient = self.direction, self.gradient
        product = float((held * gradient).sum())
        total = float((held * held).sum() + (gradient * gradient).sum()) / 2
        gradient.add_(held).mul_(0.5)
        self.is_holding = False
        return max(total / max(product, LEAST_SHARE * total, LEAST_SQUARE) - 1, 0.0)

    def rates(self):
        """Rate of each tensor, summed over its directions."""
        return rates_of(self.spec, self.carry.memory).sum(-1).tolist()

    def _pack(self, gradients):
        """Copy the gradients into the matrix; None counts as zero. Raises RuntimeError where there
        is not one for each tensor, of its shape."""
        if len(gradients) != len(self.layout):
            raise RuntimeError(
                f"the task gave {len(gradients)} gradients for {len(self.layout)} tensors in "
                "task.state; it must give one for each"
            )
        dense = []
        for packed, gradient in zip(self.gradients, gradients):
            if gradient is None:
                packed.zero_()
            elif not torch.is_tensor(gradient) or gradient.shape != packed.shape:
                given = gradient.shape if torch.is_tensor(gradient) else type(gradient).__name__
                raise RuntimeError(
                    f"the task gave a gradient of {given} for a tensor of {packed.shape}: it must "
                    "give a tensor of the same shape, or None"
                )
            elif gradient.is_sparse:
                packed.copy_(gradient.to_dense())
            else:
                dense.append((packed, gradient))
        copy_each(dense)


def duplicate(tensor):
    """A copy, on the host where the tensor's device has no room for it."""
    try:
        return tensor.clone()
    except (MemoryError, RuntimeError) as error:
        raise_unless_out_of_memory(error)
        return tensor.cpu()


def is_finite(tensor):
    """Whether no entry is NaN or infinite."""
    return bool((tensor - tensor == 0).all())
