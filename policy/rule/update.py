"""Update directions and weight averaging, in two versions of the same arithmetic.

Two directions are bias-corrected Adam directions (Kingma & Ba 2015, algorithm 1) that share one
second moment and differ in the decay of the first: ``u_k = m_k / (1 - b_k^t) / sqrt(v / (1 - c^t) +
eps^2)``; the third, of `policy.rule.orthogonal`, is given. The step is ``w -= sum_k rate_k * u_k``
with one rate per tensor and direction.

Tested weights are the polynomial-decay average (Shamir & Zhang 2013, section 3.3, eta = 9)
``a_t = a_{t-1} + 10 / (t + 9) * (w_t - a_{t-1})``: it covers about the last tenth of the run,
whatever its length, so no horizon has to be known.

``advance`` returns new buffers and can be differentiated; ``advance_`` overwrites them. All
matrices are ``[*lead, rows, width]`` (`policy.rule.layout`), rates ``[*lead, rows, DIRECTIONS]``,
steps ``[*lead]`` or, without leading axes, numbers.
"""

from typing import NamedTuple

import torch

from policy.rule.layout import in_blocks
from policy.rule.scalars import is_tensor, power, sqrt, trailing

FIRST_DECAYS = (0.9, 0.98)
SECOND_DECAY = 0.99
EPSILON = 1e-8
AVERAGING = 9.0


class Buffers(NamedTuple):
    """State of the optimizer, each ``[*lead, rows, width]``."""

    weight: torch.Tensor
    fast: torch.Tensor  # first moment, decay 0.9
    slow: torch.Tensor  # first moment, decay 0.98
    second: torch.Tensor  # second moment, decay 0.99
    average: torch.Tensor  # polynomial-decay average of the weights


def start_buffers(weight):
    """Return buffers at step 0 for initial weights ``[*lead, rows, width]``, not copied."""
    fast, slow, second = (torch.zeros_like(weight) for _ in range(3))
    return Buffers(weight, fast, slow, second, weight.clone())


def corrections(step):
    """Return bias corrections ``1 - decay^t`` of fast, slow and second moment, each shaped like
    ``step``."""
    return [1 - power(decay, step) for decay in FIRST_DECAYS + (SECOND_DECAY,)]


def accumulate(buffers, gradient):
    """Return the moments after one more gradient, in new tensors."""
    return buffers._replace(
        fast=buffers.fast + (1 - FIRST_DECAYS[0]) * (gradient - buffers.fast),
        slow=buffers.slow + (1 - FIRST_DECAYS[1]) * (gradient - buffers.slow),
        second=buffers.second + (1 - SECOND_DECAY) * (gradient * gradient - buffers.second),
    )


def accumulate_(buffers, gradient):
    """Return the moments after one more gradient, in place."""
    moments = buffers.fast, buffers.slow, buffers.second
    for fast, slow, second, part in in_blocks(*moments, gradient):
        fast.lerp_(part, 1 - FIRST_DECAYS[0])
        slow.lerp_(part, 1 - FIRST_DECAYS[1])
        second.mul_(SECOND_DECAY).addcmul_(part, part, value=1 - SECOND_DECAY)
    return buffers


def scale(second, step):
    """Denominator of the directions, up to :func:`factors`: ``sqrt(v + (1 - c^t) eps^2)``, which is
    smooth also at zero."""
    correction = trailing(corrections(step)[2], 2)
    return (second + EPSILON**2 * correction).sqrt_()


def factors(step):
    """``sqrt(1 - c^t) / (1 - b_k^t)`` of each direction ``u_k = factor_k * m_k / scale``, shaped
    like ``step``. To correct a few numbers, and not a matrix, saves a pass over memory."""
    fast, slow, second = corrections(step)
    return sqrt(second) / fast, sqrt(second) / slow


def advance(buffers, step, rates, direction):
    """Move the weights and their average by one step; new tensors."""
    fast, slow = (trailing(factor, 2) for factor in factors(step))
    move = rates[..., :1] * fast * buffers.fast + rates[..., 1:2] * slow * buffers.slow
    weight = buffers.weight - move / scale(buffers.second, step) - rates[..., 2:] * direction
    average = buffers.average + trailing(averaging(step), 2) * (weight - buffers.average)
    return buffers._replace(weight=weight, average=average)


def advance_(buffers, step, rates, direction):
    """Move the weights and their average by one step; in place."""
    fast_factor, slow_factor = (trailing(factor, 2) for factor in factors(step))
    share = averaging(step)
    for block in in_blocks(*buffers, direction, rates):
        weight, fast, slow, second, average, orthogonal, rate = block
        move = rate[..., :1] * fast_factor * fast
        move.addcmul_(rate[..., 1:2] * slow_factor, slow)
        weight.addcdiv_(move, scale(second, step), value=-1)
        weight.addcmul_(rate[..., 2:], orthogonal, value=-1)
        if is_tensor(share):
            torch.sub(weight, average, out=move)
            average.addcmul_(trailing(share, 2), move)
        else:
            average.lerp_(weight, share)
    return buffers


def averaging(step, eta=AVERAGING):
    """Return the weight of the newest term in the average, shaped like ``step`` (1, 2, ...)."""
    return (eta + 1) / (step + eta)
