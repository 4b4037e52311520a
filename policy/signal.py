"""What the controller sees of the loss: four numbers, invariant to the loss's offset and scale.

The unit is the gap between the first training loss and the target test loss, so a value means the
same for a cross-entropy, a squared error or a negative log density, and the policy knows how far it
has to go.
"""

import math
from typing import NamedTuple

import torch

from policy.scalars import choose, clamp, log, power, sign, sqrt, stacked, tanh

FAST_DECAY = 0.9
SLOW_DECAY = 0.98
LOG_STEPS = math.log(3000.0)  # time saturates here, so that long runs look like the longest seen


class Signal(NamedTuple):
    """Running statistics of the training loss, each ``[*lead]`` or a number."""

    first: torch.Tensor  # the first loss seen
    fast: torch.Tensor  # exponential averages, without bias correction
    slow: torch.Tensor
    square: torch.Tensor  # of the squared deviation from the fast average


def start_signal(like):
    """Statistics before the first loss; ``like`` gives shape, type and device."""
    return Signal(*(torch.zeros_like(like) for _ in range(4)))


def observe(signal, step, loss):
    """Statistics after one more loss; ``step`` counts from 1."""
    is_first = step < 1.5
    first = choose(is_first, loss, signal.first)
    before = choose(is_first, loss, signal.fast / _debias(step - 1, FAST_DECAY))
    deviation = loss - before
    return Signal(
        first,
        FAST_DECAY * signal.fast + (1 - FAST_DECAY) * loss,
        SLOW_DECAY * signal.slow + (1 - SLOW_DECAY) * loss,
        SLOW_DECAY * signal.square + (1 - SLOW_DECAY) * deviation * deviation,
    )


def global_features(signal, step, target):
    """``[*lead, GLOBAL_FEATURES]``: distance to the target, trend, noise, time."""
    fast = signal.fast / _debias(step, FAST_DECAY)
    slow = signal.slow / _debias(step, SLOW_DECAY)
    spread = sqrt(signal.square / _debias(step, SLOW_DECAY) + 1e-30)
    gap = clamp(abs(signal.first - target), 1e-6)
    to_go = asinh(10 * (fast - target) / gap) / 3
    # The last term keeps rounding errors out, of which the difference consists at the first step.
    trend = tanh((slow - fast) / (spread + 1e-3 * gap))
    noise = log(spread / gap + 1e-4) / 4 + 1
    time = clamp(log(step), high=LOG_STEPS) / 4 - 1
    return stacked([to_go, trend, noise, time])


def asinh(x):
    """Inverse hyperbolic sine: linear near zero, logarithmic far out, odd."""
    magnitude = abs(x)
    return sign(x) * log(magnitude + sqrt(magnitude * magnitude + 1))


def _debias(step, decay):
    """``1 - decay^t``, kept from zero at t = 0."""
    return clamp(1 - power(decay, step), 1e-6)
