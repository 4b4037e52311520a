"""What the controller sees of the loss: eight numbers, invariant to the loss's offset and scale.

The unit is the gap between the first training loss and the target, so a value means the same for a
cross-entropy, a squared error or a negative log density, and shows how far there is to go.

Two averages of the loss cover a share of the run, not a number of steps: their difference is the
pace of the run, whatever its length. A third number, the excess, is what the loss would fall by if
the weights moved to their average: what a lower rate would gain at once. When that is all that is
left to go, rates should fall.

The same excess over all of the loss tells how much of it is bouncing.
"""

import math
from typing import NamedTuple

import torch

from policy.rule.scalars import asinh, choose, clamp, log, power, sqrt, stacked, tanh
from policy.rule.update import averaging

FAST_DECAY = 0.9
SLOW_DECAY = 0.98
EARLIER = 3.0  # polynomial decay of the average that reaches farther back
LEAST_LEFT = 0.03  # of the gap: what is left to go counts as no less
LEAST_LOSS = 0.01  # of the first loss: the loss counts as no less
MOST_LOSS = 4.0  # times the loss: the excess is of first order, which is 2 on a quadratic
LOG_STEPS = math.log(3000.0)  # time saturates here, so that long runs look like the longest seen


class Signal(NamedTuple):
    """Running statistics of the training loss, each ``[*lead]`` or a number."""

    first: torch.Tensor  # the first loss seen
    fast: torch.Tensor  # exponential averages, without bias correction
    slow: torch.Tensor
    square: torch.Tensor  # of the squared deviation from the fast average
    recent: torch.Tensor  # average over about the last tenth of the run, as that of the weights
    earlier: torch.Tensor  # likewise over the last quarter


def start_signal(like):
    """Return the statistics before the first loss; ``like``, a number or a tensor ``[*lead]`` of
    zeros, gives shape, type and device."""
    return Signal(*(0.0 * like for _ in Signal._fields))


def observe(signal, step, loss):
    """Return the statistics after one more loss; ``step`` counts from 1."""
    is_first = step < 1.5
    first = choose(is_first, loss, signal.first)
    before = choose(is_first, loss, signal.fast / _debias(step - 1, FAST_DECAY))
    deviation = loss - before
    return Signal(
        first,
        FAST_DECAY * signal.fast + (1 - FAST_DECAY) * loss,
        SLOW_DECAY * signal.slow + (1 - SLOW_DECAY) * loss,
        SLOW_DECAY * signal.square + (1 - SLOW_DECAY) * deviation * deviation,
        signal.recent + averaging(step) * (loss - signal.recent),
        signal.earlier + averaging(step, EARLIER) * (loss - signal.earlier),
    )


def aim(signal, target, tested):
    """Return the training loss at which the test loss is expected to meet the target.

    Args:
        target: test loss to reach.
        tested: a test loss, which is taken to belong to the recent training loss.
    """
    return target - (tested - signal.recent)


def global_features(signal, step, target, excess):
    """Return ``[*lead, GLOBAL_FEATURES]``: distance to the target, trend, noise, time, pace, what
    is left, and the excess over the gap and over what is left.

    Args:
        target: training loss to reach, ``[*lead]`` or a number.
        excess: loss of the live weights over that of the average, a tensor ``[*lead]``.
    """
    fast = signal.fast / _debias(step, FAST_DECAY)
    slow = signal.slow / _debias(step, SLOW_DECAY)
    spread = sqrt(signal.square / _debias(step, SLOW_DECAY) + 1e-30)
    gap = clamp(abs(signal.first - target), 1e-6)
    to_go = asinh(10 * (fast - target) / gap) / 3
    # The last term keeps rounding errors out, of which the difference consists at the first step.
    trend = tanh((slow - fast) / (spread + 1e-3 * gap))
    noise = log(spread / gap + 1e-4) / 4 + 1
    time = clamp(log(step), high=LOG_STEPS) / 4 - 1
    left = signal.recent - target
    least = abs(left) + LEAST_LEFT * gap
    pace = tanh(4 * (signal.earlier - signal.recent) / least)
    closeness = log(clamp(left / gap, 0.0) + 3e-3) / 2 + 1
    known = stacked([to_go, trend, noise, time, pace, closeness]).to(excess)
    bouncing = torch.stack([asinh(30 * excess / gap) / 3, tanh(excess / least)], -1)
    return torch.cat([known, bouncing], -1)


def bouncing(signal, target, excess):
    """Return how much of the loss the weights would lose by moving to their average: ``[*lead]``,
    from 0 to 1. Arguments as above; losses count from zero, or from a target below it.

    0 where it would be more than there is: such gradients are not those of the loss.
    """
    floor = clamp(target, high=0.0)
    loss = abs(signal.recent - floor) + LEAST_LOSS * abs(signal.first - floor)
    share = excess.clamp(min=0.0) / (loss + 1e-30)
    share = share.masked_fill(share != share, 0.0)
    return torch.tanh(share.masked_fill(share > MOST_LOSS, 0.0))


def _debias(step, decay):
    """``1 - decay^t``, kept from zero at t = 0."""
    return clamp(1 - power(decay, step), 1e-6)
