"""The rule at work on one network: layout, policy and carry together.

What the driver of the challenge and `policy.optimizer.LearnedLR` share. It holds packed copies of
the network's tensors; to copy them from and to the model is the caller's.
"""

import torch

from policy.rule.controller import rates_of
from policy.rule.layout import Layout
from policy.rule.orthogonal import orthogonal_direction
from policy.rule.signal import start_signal
from policy.rule.step import learned_step_, start_carry, with_rates


class Stepper:
    """Steps of the learned optimizer, whose matrices are overwritten in place.

    Args:
        spec: `policy.rule.spec.Spec`.
        weights: the policy's, name -> tensor; None for the base rate.
        tensors: the network's, on one device; `start` takes their values.

    ``carry`` is a `policy.rule.step.Carry` without leading axes. Its step and, until `scale` is
    given a tensor, its multiplier are numbers on the host, which saves kernels. ``live`` and
    ``averaged`` show its weights as tensors of the network's shapes.
    """

    def __init__(self, spec, weights, tensors):
        device = tensors[0].device
        self.spec = spec
        self.weights = weights and {name: value.to(device) for name, value in weights.items()}
        self.layout = Layout([t.shape for t in tensors], device=device)
        self.carry = self.live = self.averaged = None

    @torch.no_grad()
    def start(self, weight, zero=0.0):
        """Begin at packed weights ``[rows, width]``, which are not copied.

        Args:
            zero: of the type of the losses to come: a number, or a tensor on their device.
        """
        carry = start_carry(self.spec, self.layout, weight)
        self.carry = carry._replace(step=0.0, signal=start_signal(zero), multiplier=1.0)
        self._view()

    def _view(self):
        self.live = self.layout.unpack(self.carry.buffers.weight)
        self.averaged = self.layout.unpack(self.carry.buffers.average)

    def __setstate__(self, state):
        """Begin as a copy: a pickle makes copies of views, too."""
        vars(self).update(state)
        self._view()

    def move(self, gradient, loss):
        """Make one step; every ``spec.stride`` steps, from the first one on, the policy decides.

        Args:
            gradient: packed, ``[rows, width]``.
            loss: a number or a tensor without axes, counted from zero or its lower bound.
        """
        is_decision = self.weights is not None and int(self.carry.step) % self.spec.stride == 0
        arguments = self.spec, self.weights, self.layout, self.carry, gradient, loss
        self.carry = learned_step_(*arguments, is_decision, self._direct)

    _direct = staticmethod(orthogonal_direction)  # of a step; keeps no argument

    def scale(self, multiplier):
        """Multiply all rates from now on by ``multiplier``, and no longer by the one before.

        Args:
            multiplier: a number, or a tensor that broadcasts to ``[tensors]``.
        """
        self._renew_rates(multiplier=multiplier)

    def remember(self, **changes):
        """Change fields of the controller's memory, and the rates that follow from them."""
        self._renew_rates(memory=self.carry.memory._replace(**changes))

    def _renew_rates(self, **changes):
        self.carry = with_rates(self.spec, self.layout, self.carry._replace(**changes))

    def rates(self):
        """Return the present learning rate of each tensor: floats."""
        return (self.carry.multiplier * rates_of(self.spec, self.carry.memory)).tolist()
