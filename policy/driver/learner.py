"""The live weights, and the learned optimizer that moves them."""

import math

import torch

from policy.driver.adam import Adam
from policy.driver.contract import number_of, tensors_of
from policy.driver.losses import is_at_hand
from policy.driver.rescue import is_out_of_memory
from policy.rule.copies import copy_each
from policy.rule.orthogonal import orthogonal_direction
from policy.rule.stepper import Stepper

LEAST_SHARE = 1e-3  # smallest share of the mean in a gradient that two of them can measure
BLOCK = 64  # rows or columns orthogonalised together where whole matrices take too long
LARGEST_GRADIENT = 1e15  # clamp for gradients after a harmful one: their squares stay finite


class Learner(Stepper):
    """Moves the weights of ``task.state``, always in place.

    Memory: six float32 per weight between steps (weights, momentum, average, packed gradient,
    direction, and from the first test on the best weights), a few more during a step. A copy of the
    initial weights is on the host.

    Raises RuntimeError for a state or a target that can't be used, and if there is no memory for
    the first five.
    """

    def __init__(self, task, spec, weights):
        state = tensors_of(task)
        self.target = number_of(task, "target_test_loss", "the test loss to reach")
        # Losses count from here; with a target below zero they may be negative.
        self.floor = min(self.target, 0.0) if math.isfinite(self.target) else 0.0
        super().__init__(spec, weights, state)
        self.task = task
        device = state[0].device
        self.is_on_host = device.type == "cpu"
        self.initial = [p.detach().cpu().clone() for p in state]
        try:
            weight = self.layout.pack(state)
            self.start(weight)
            self.gradient, self.direction = torch.zeros_like(weight), torch.zeros_like(weight)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            count = sum(self.layout.numels)
            raise RuntimeError(
                f"{count:,} weights need {20 * count:,} bytes beside the model, more than {device} "
                "has free: free some, or train on a device with more memory"
            ) from error
        self.gradients = self.layout.unpack(self.gradient)
        self.loss = None  # the last finite loss, on an accelerator
        self.best = None  # packed; before the first test the initial weights are the best
        self.steps = 0  # includes those before a restart
        self.is_careful = False  # whether the run was restarted
        self.is_cut = False  # whether gradients are clamped, since one was harmful
        self.batch_factor = self.calm = 1.0  # factors on all rates
        self.is_holding = False  # whether a gradient at the present weights is kept

    @torch.no_grad()
    def restart(self, rate):
        """Restart from the initial weights with Adam at a constant rate; keep the best weights.

        This removes whatever made the run fail: units, orthogonal steps or the policy. Adam's steps
        shrink where gradients are noise, so it memorises later.
        """
        self.show(self.initial)
        self.weights, self.is_careful, self.is_holding = None, True, False
        self.carry = self.live = self.averaged = None  # frees memory for the new ones
        self.spec = self.spec._replace(base_rate=rate)
        self.start(self.layout.pack(self.task.state))
        self.remember(unit=torch.ones_like(self.carry.memory.unit))
        self.adam = Adam(self.gradient)
        self.calm = 1.0
        self.scale(self.batch_factor)

    def divide(self):
        """Orthogonalise wide matrices and filters in blocks, which makes updates cheaper on a CPU.
        On an accelerator the number of kernels decides, so nothing changes there."""
        if self.is_on_host:
            self.layout.divide(BLOCK)

    def wait(self):
        """Wait until an accelerator has made the steps so far."""
        if not self.is_on_host:
            self.layout.sizes[0].item()

    @torch.no_grad()
    def step(self, loss, gradients):
        """Make a step. ``gradients`` are copied: the next oracle call may reuse their storage.

        Returns the noise scale of a gradient if one was held, else None.
        """
        self._pack(gradients)
        noise = self._join() if self.is_holding else None
        if self.is_cut or not self._is_sound():
            self.gradient.masked_fill_(self.gradient - self.gradient != 0, 0.0)  # NaN or infinite
        if self.is_cut:
            self.gradient.clamp_(-LARGEST_GRADIENT, LARGEST_GRADIENT)
        if torch.is_tensor(loss):
            loss = loss.detach().to(self.gradient.dtype).reshape(())
        loss = float(loss) if is_at_hand(loss) else self._finite(loss)
        self.move(self.gradient, loss - self.floor)
        self.steps += 1
        self.show(self.live)
        return noise

    def _direct(self, layout, momentum, gradient):
        if self.is_careful:
            return self.adam.direction(momentum, gradient, self.direction)
        return orthogonal_direction(layout, momentum, gradient, self.direction)

    def _is_sound(self):
        """Return whether the gradient is known to be finite without waiting."""
        return self.is_on_host and math.isfinite(float(self.gradient.sum()))

    def _finite(self, loss):
        """Return a loss on an accelerator, or the last finite one instead: the loss is read later,
        and the controller's averages would keep one that is not finite."""
        last = loss if self.loss is None else self.loss
        self.loss = torch.where(loss - loss == 0, loss, last)
        return self.loss

    @torch.no_grad()
    def show(self, tensors):
        """Copy weights into the model."""
        copy_each(zip(self.task.state, tensors))

    @torch.no_grad()
    def keep_best(self):
        """Keep the averaged weights as the best ones."""
        if self.best is None:
            self.best = duplicate(self.carry.buffers.average)
        else:
            self.best.copy_(self.carry.buffers.average)

    def show_best(self):
        """Copy the best weights into the model; before the first test, the initial ones."""
        self.show(self._best_tensors())

    def _best_tensors(self):
        return self.initial if self.best is None else self.layout.unpack(self.best)

    def lower_rates(self, factor):
        """Multiply all rates from now on."""
        self.calm *= factor
        self.scale(self.calm * self.batch_factor)

    def scale_rates(self, factor):
        """Set rates to ``factor`` times those of the default batch size."""
        if factor != self.batch_factor:
            self.batch_factor = factor
            self.scale(self.calm * factor)

    def is_finite(self):
        """Return whether the norms of weights, momentum and average are finite."""
        return all(is_finite(matrix) for matrix in self.carry.buffers)

    @torch.no_grad()
    def restore(self, to_best):
        """Return to the averaged weights, or to the best ones, with fresh momentum. From now on
        gradients are clamped."""
        buffers, self.is_holding, self.is_cut = self.carry.buffers, False, True
        if to_best or not is_finite(buffers.average):
            buffers.average.zero_()  # the padding too
            for average, best in zip(self.averaged, self._best_tensors()):
                average.copy_(best)
        buffers.weight.copy_(buffers.average)
        buffers.momentum.zero_()
        if self.is_careful:
            self.adam = Adam(self.gradient)
        self.show(self.live)

    @torch.no_grad()
    def hold(self, gradients):
        """Keep a gradient, so that the next step, on another batch, can measure the noise."""
        self._pack(gradients)
        self.direction.copy_(self.gradient)  # which is free between steps
        self.is_holding = True

    def _join(self):
        """Average with the gradient held, at the same weights. Returns the noise scale of one of
        them, ``tr(covariance) / |mean|^2``: their product estimates the square of the mean, the
        mean of their squares that plus the covariance."""
        held, gradient = self.direction, self.gradient
        product = float((held * gradient).sum())
        total = float((held * held).sum() + (gradient * gradient).sum()) / 2
        gradient.add_(held).mul_(0.5)
        self.is_holding = False
        return max(total / max(product, LEAST_SHARE * total) - 1, 0.0) if total else 0.0

    def _pack(self, gradients):
        """Copy the gradients into the matrix; None counts as zero. Raises RuntimeError unless there
        is one for each tensor, of its shape."""
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
    """Return a copy, on the host if the tensor's device has no memory for it."""
    try:
        return tensor.clone()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return tensor.cpu()


def is_finite(tensor):
    """Return whether all entries and their norm are finite."""
    return math.isfinite(float((tensor * tensor).sum()))
