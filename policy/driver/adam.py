"""The baseline's optimizer, for runs that the learned rule has failed."""

import torch

from policy.rule.scalars import power
from policy.rule.update import correction

SECOND_DECAY, EPSILON = 0.999, 1e-8


class Adam:
    """Directions of Adam (Kingma & Ba 2015, algorithm 1), from the momentum that the rule keeps.

    ``like`` has the shape and device of a gradient.
    """

    def __init__(self, like):
        self.second = torch.zeros_like(like)  # moment
        self.steps = 0

    def direction(self, momentum, gradient, out):
        """Return the direction, in the storage of ``out``, and remember the gradient; all
        ``[rows, width]``."""
        self.steps += 1
        self.second.mul_(SECOND_DECAY).addcmul_(gradient, gradient, value=1 - SECOND_DECAY)
        torch.div(self.second, 1 - power(SECOND_DECAY, self.steps), out=out)
        return torch.div(momentum / correction(self.steps), out.sqrt_().add_(EPSILON), out=out)
