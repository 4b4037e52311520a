"""NAdamW with warm-up and cosine decay, at the one point that AlgoPerf's reference submission uses.

Dozat, "Incorporating Nesterov Momentum into Adam", 2016, with decoupled weight decay; settings of
Dahl et al., "Benchmarking Neural Network Training Algorithms", 2023. Without AlgoPerf's dropout and
label smoothing, which are the task's here. The horizon is the baseline's number of steps, at whose
end the rate is 0 and training stops.
"""

import math

import torch

from evaluate.peers.loop import aliases, descend

RATE, BETA1, BETA2, WEIGHT_DECAY, EPSILON = 1.75e-3, 0.933, 0.9955, 0.081, 1e-8
WARM_UP = 0.02  # of the horizon

given = None  # set by the harness: see evaluate.peers


def train(task):
    """Train for the horizon; raises ValueError without one, or if an epoch holds no batch."""
    if not given or given["baseline_steps"] < 1:
        raise ValueError("nadamw needs the baseline's number of steps as its horizon")
    horizon = given["baseline_steps"]
    weights = aliases(task)
    update = NAdamW(weights)
    descend(task, weights, lambda loss: update.step(horizon), most_steps=horizon)


def rate(step: int, horizon: int) -> float:
    """The learning rate of a step (from 1): a linear rise, then half a cosine down to 0."""
    warm_up = max(1, round(WARM_UP * horizon))
    if step <= warm_up:
        return RATE * step / warm_up
    progress = (step - warm_up) / (horizon - warm_up)
    return RATE * (1 + math.cos(math.pi * progress)) / 2


class NAdamW:
    """The update, in place on the weights."""

    def __init__(self, weights):
        self._weights, self._steps = weights, 0
        self._first = [torch.zeros_like(weight) for weight in weights]
        self._second = [torch.zeros_like(weight) for weight in weights]

    def step(self, horizon: int) -> None:
        """One step along the weights' .grad."""
        self._steps += 1
        learning_rate = rate(self._steps, horizon)
        gradients = [weight.grad for weight in self._weights]
        torch._foreach_mul_(self._weights, 1 - learning_rate * WEIGHT_DECAY)
        torch._foreach_lerp_(self._first, gradients, 1 - BETA1)
        torch._foreach_mul_(self._second, BETA2)
        torch._foreach_addcmul_(self._second, gradients, gradients, 1 - BETA2)
        # Nesterov: the direction looks one step of the moving average ahead.
        direction = torch._foreach_lerp(self._first, gradients, 1 - BETA1)
        scale = torch._foreach_div(self._second, 1 - BETA2**self._steps)
        torch._foreach_sqrt_(scale)
        torch._foreach_add_(scale, EPSILON)
        size = -learning_rate / (1 - BETA1**self._steps)
        torch._foreach_addcdiv_(self._weights, direction, scale, size)
