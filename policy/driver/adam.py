"""The baseline's optimizer, for runs that the learned rule has failed."""

import torch

from policy.rule.scalars import power

SECOND_DECAY, EPSILON = 0.999, 1e-8


class Adam:
    """Directions of Adam (Kingma & Ba 2015, algorithm 1), from the momentum that the rule keeps."""

    def __init__(self, like):
        self.second = torch.zeros_like(like)  # moment

    def direction(self, gradient, momentum, correction, step, out):
        """Return the direction, in the storage of ``out``, and remember the gradient.

        Args:
            gradient, momentum, out: ``[rows, width]``.
            correction: of the momentum's bias.
            step: a number, from 1 on.
        """
        self.second.mul_(SECOND_DECAY).addcmul_(gradient, gradient, value=1 - SECOND_DECAY)
        torch.div(self.second, 1 - power(SECOND_DECAY, step), out=out)
        return torch.div(momentum / correction, out.sqrt_().add_(EPSILON), out=out)
