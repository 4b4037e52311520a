"""The move of the weights and their averaging, in two versions of the same arithmetic.

The step is ``w -= rate * direction``, with one rate per tensor and the direction that
`policy.rule.orthogonal` makes of the gradient's momentum ``m += 0.1 * (g - m)``.

Tested weights are the polynomial-decay average (Shamir & Zhang 2013, section 3.3, eta = 9)
``a_t = a_{t-1} + 10 / (t + 9) * (w_t - a_{t-1})``. It covers about the last tenth of a run of any
length, so the horizon need not be known.

``advance`` returns new buffers and can be differentiated; ``advance_`` overwrites them. All
matrices are ``[*lead, rows, width]`` (`policy.rule.layout`), rates ``[*lead, rows, 1]``, steps
``[*lead]`` or, without leading axes, numbers.
"""

from typing import NamedTuple

import torch

from policy.rule.layout import in_blocks
from policy.rule.scalars import power, trailing

DECAY = 0.9
AVERAGING = 9.0


class Buffers(NamedTuple):
    """State of the optimizer, each ``[*lead, rows, width]``."""

    weight: torch.Tensor
    momentum: torch.Tensor  # exponential average of the gradients, without bias correction
    average: torch.Tensor  # polynomial-decay average of the weights


def start_buffers(weight):
    """Return buffers at step 0 for initial weights ``[*lead, rows, width]``, not copied."""
    return Buffers(weight, torch.zeros_like(weight), weight.clone())


def correction(step):
    """Return the momentum's bias correction ``1 - decay^t``, shaped like ``step``."""
    return 1 - power(DECAY, step)


def accumulate(buffers, gradient):
    """Return buffers with the gradient in the momentum, a new tensor."""
    momentum = buffers.momentum + (1 - DECAY) * (gradient - buffers.momentum)
    return buffers._replace(momentum=momentum)


def accumulate_(buffers, gradient):
    """Add the gradient to the momentum, in place."""
    buffers.momentum.lerp_(gradient, 1 - DECAY)
    return buffers


def advance(buffers, step, rates, direction):
    """Move the weights and their average by one step; new tensors."""
    weight = buffers.weight - rates * direction
    average = buffers.average + trailing(averaging(step), 2) * (weight - buffers.average)
    return buffers._replace(weight=weight, average=average)


def advance_(buffers, step, rates, direction):
    """Move the weights and their average by one step; in place."""
    share = trailing(averaging(step), 2)
    for weight, average, part, rate in in_blocks(buffers.weight, buffers.average, direction, rates):
        weight.addcmul_(rate, part, value=-1)
        average.lerp_(weight, share)
    return buffers


def averaging(step, eta=AVERAGING):
    """Return the weight of the newest term in the average, shaped like ``step`` (1, 2, ...)."""
    return (eta + 1) / (step + eta)
