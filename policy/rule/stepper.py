"""The rule on one network: layout, policy and carry together.

The challenge's driver and `policy.optimizer.LearnedLR` share it. It holds packed copies of the
network's tensors; the caller copies them from and to the model.
"""

import torch

from policy.rule.controller import rates_of
from policy.rule.layout import Layout
from policy.rule.orthogonal import orthogonal_direction
from policy.rule.signal import start_signal
from policy.rule.step import learned_step_, start_carry, with_rates


class Stepper:
    """Makes steps of the learned optimizer, in place.

    Args:
        spec: `policy.rule.spec.Spec`.
        weights: the policy's, name -> tensor; None for constant rates.
        tensors: the network's, on one device; only their shapes are used.

    ``carry`` is a `policy.rule.step.Carry` without leading axes. Its step is a number on the host,
    as is its multiplier until `scale` is given a tensor: that saves kernels. ``live`` and
    ``averaged`` are views of its weights in the network's shapes.
    """

    def __init__(self, spec, weights, tensors):
        device = tensors[0].device
        self.spec = spec
        self.weights = weights and {name: value.to(device) for name, value in weights.items()}
        self.layout = Layout([t.shape for t in tensors], device=device)
        self.carry = self.live = self.averaged = None

    @torch.no_grad()
    def start(self, weight, zero=0.0):
        """Start from packed weights ``[rows, width]``, which are not copied.

        Args:
            zero: a zero of the losses' type: a number, or a tensor on their device.
        """
        carry = start_carry(self.spec, self.layout, weight)
        self.carry = carry._replace(step=0.0, signal=start_signal(zero), multiplier=1.0)
        self._view()

    def _view(self):
        self.live = self.layout.unpack(self.carry.buffers.weight)
        self.averaged = self.layout.unpack(self.carry.buffers.average)

    def __setstate__(self, state):
        """Renew the views: a pickle turns them into copies."""
        vars(self).update(state)
        self._view()

    def move(self, gradient, loss):
        """Make one step. The policy decides at the first one, then every ``spec.stride`` steps.

        Args:
            gradient: packed, ``[rows, width]``.
            loss: a number or a tensor without axes, counted from zero or its lower bound.
        """
        is_decision = self.weights is not None and int(self.carry.step) % self.spec.stride == 0
        arguments = self.spec, self.weights, self.layout, self.carry, gradient, loss
        self.carry = learned_step_(*arguments, is_decision, self._direct)

    _direct = staticmethod(orthogonal_direction)  # the direction of a step

    def scale(self, multiplier):
        """Multiply all rates by ``multiplier`` from now on, instead of by the previous one.

        Args:
            multiplier: a number, or a tensor that broadcasts to ``[tensors]``.
        """
        self._renew_rates(multiplier=multiplier)

    def remember(self, **changes):
        """Change fields of the controller's memory, and with them the rates."""
        self._renew_rates(memory=self.carry.memory._replace(**changes))

    def _renew_rates(self, **changes):
        self.carry = with_rates(self.spec, self.layout, self.carry._replace(**changes))

    def rates(self):
        """Return the present learning rate of each tensor: floats."""
        return (self.carry.multiplier * rates_of(self.spec, self.carry.memory)).tolist()
