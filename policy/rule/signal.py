"""What the controller sees of the loss: eight numbers, invariant to its scale.

The unit is the first loss, so a value means the same for a cross-entropy and a squared error.
Losses count from zero: callers subtract a lower bound from losses that may be negative. The target
is no input, since policies that knew it were no faster.

Two averages of the loss cover shares of the run instead of numbers of steps: their difference is
the pace of the run, whatever its length. The excess is how far the loss would fall if the weights
moved to their average: what a lower rate would gain at once. When little else is left to gain,
rates should fall. The excess as a share of the loss is called bouncing, and the fall of the rates
restraint.
"""

import math
from typing import NamedTuple

import torch

from policy.rule.scalars import asinh, choose, clamp, log, power, sqrt, stacked, tanh
from policy.rule.update import averaging

FAST_DECAY = 0.9
SLOW_DECAY = 0.98
EARLIER = 3.0  # polynomial decay of the average that reaches farther back
LEAST_PRESENT = 0.03  # of the first loss: the loss counts as no less in a feature
# Each row: by how much log rates fall where all of the loss bounces, the power of what bounces, and
# the share of the first loss that is added to the loss. The first row ends above 1 % of the first
# loss. Below it up to half of the loss may bounce: lower rates would memorise its noise sooner.
RESTRAINTS = (4.0, 2, 0.01), (8.0, 8, 1e-6)
LEAST_TO_LOSE = 0.1  # of the first loss, in the aim: losses below zero must remain in reach
MOST_LOSS = 4.0  # times the loss: the excess is of first order, which is 2 on a quadratic
LEAST_FIRST = 1e-18  # the first loss counts as no less
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


def global_features(signal, step, excess):
    """Return ``[*lead, GLOBAL_FEATURES]``: height of the loss, trend, noise, time, pace, depth (the
    loss's logarithm), and the excess over the first loss and over the present one.

    Args:
        excess: loss of the live weights over that of the average, a tensor ``[*lead]``.
    """
    fast, spread = _fast_and_spread(signal, step)
    slow = signal.slow / _debias(step, SLOW_DECAY)
    first = clamp(abs(signal.first), LEAST_FIRST)
    height = asinh(10 * fast / first) / 3
    # The last term keeps rounding errors out, of which the difference consists at the first step.
    trend = tanh((slow - fast) / (spread + 1e-3 * first))
    noise = log(spread / first + 1e-4) / 4 + 1
    time = clamp(log(step), high=LOG_STEPS) / 4 - 1
    present = abs(signal.recent) + LEAST_PRESENT * first
    pace = tanh(4 * (signal.earlier - signal.recent) / present)
    depth = log(clamp(signal.recent / first, 0.0) + 3e-3) / 2 + 1
    known = stacked([height, trend, noise, time, pace, depth]).to(excess)
    bouncing = torch.stack([asinh(30 * excess / first) / 3, tanh(excess / present)], -1)
    return torch.cat([known, bouncing], -1)


def restraint(signal, excess):
    """Return by how much bouncing lowers the log rates: ``[*lead]``. Arguments as above."""
    falls = [most * bouncing(signal, excess, least) ** p for most, p, least in RESTRAINTS]
    return torch.stack(falls).max(0)[0]


def bouncing(signal, excess, least):
    """Return how much of the loss the weights would lose by moving to their average: ``[*lead]``,
    from 0 to 1. ``least`` is the share of the first loss that is added to the loss.

    0 where it would be more than there is: such gradients are not those of the loss.
    """
    loss = abs(signal.recent) + least * abs(signal.first)
    share = excess.clamp(min=0.0) / (loss + 1e-30)
    share = share.masked_fill(share != share, 0.0)
    return torch.tanh(share.masked_fill(share > MOST_LOSS, 0.0))


def loss_to_lose(signal, step):
    """Return the present loss plus `LEAST_TO_LOSE` of the first: ``[*lead]`` or a number.

    Infinite unless the loss exceeds its own noise: else zero is no bound, as for surrogate losses
    in reinforcement learning.
    """
    fast, spread = _fast_and_spread(signal, step)
    loss = fast + LEAST_TO_LOSE * abs(signal.first)
    return choose(fast > spread, loss, 0 * loss + math.inf)


def _fast_and_spread(signal, step):
    """Return the fast average of the loss, and the loss's standard deviation from it."""
    spread = sqrt(signal.square / _debias(step, SLOW_DECAY) + 1e-30)
    return signal.fast / _debias(step, FAST_DECAY), spread


def _debias(step, decay):
    """``1 - decay^t``, kept from zero at t = 0."""
    return clamp(1 - power(decay, step), 1e-6)
