"""Celo2 with its authors' weights: a learned direction for matrices of hidden layers, made
orthogonal, and Adam for all else.

Moudgil, Knyazev and Belilovsky, "Celo2: Towards Learned Optimization Free Lunch", ICLR 2026
(arXiv:2602.19142). A network of 347 weights (evaluate.peers.celo_common), five Newton-Schulz steps
(Jordan et al. 2024), and a root mean square that is the rate. The rate is meta-training's,
warms up over 5 % of the horizon and falls by a cosine to a tenth.
"""

import math

import torch
from torch import Tensor

from evaluate.peers.celo_common import (
    Learned,
    network_shapes,
    normalised,
    read_weights,
    share_of_horizon,
)
from evaluate.peers.common import Task, aliases, descend

RATE = 1e-3
WEIGHTS = read_weights("celo2", network_shapes(hidden=8))
given: dict = {}


class Celo2(Learned):
    """The learned rule, for weights of two axes and more; kernels are a matrix at each position."""

    square_decay, epsilon = 0.95, 1e-8

    def direction(self, weight: Tensor, features: Tensor) -> Tensor:
        """Return an orthogonal matrix, with a mean square of one."""
        axes = (weight.dim() - 2, weight.dim() - 1)
        direction, _ = self.network(normalised(features, axes, 1e-9))
        return normalised(orthogonal(direction), axes, 1e-9)


def orthogonal(x: Tensor) -> Tensor:
    """Return a matrix with the singular vectors of `x`, whose singular values are about one."""
    is_tall = x.shape[-2] > x.shape[-1]
    x = x.mT if is_tall else x
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-8)
    for _ in range(5):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if is_tall else x


def factor(step: int, steps: int) -> float:
    """Share of the rate at a step: a warm-up over 5 %, then a cosine to a tenth."""
    warm_up = math.ceil(0.05 * steps)
    if step < warm_up:
        return (step + 1) / warm_up
    share = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    return 0.1 + 0.45 * (1 + math.cos(math.pi * share))


def train(task: Task) -> None:
    """Train until `Done`, or to the end of the schedule."""
    if "hidden" not in given:
        raise ValueError("this peer needs the places of hidden matrices; run it by --peers NAME")
    steps = share_of_horizon(given)
    weights = aliases(task)
    matrices = [weights[place] for place in given["hidden"]]
    others = [weight for place, weight in enumerate(weights) if place not in given["hidden"]]
    optimizers: list[torch.optim.Optimizer] = []
    if others:
        optimizers.append(torch.optim.Adam(others, lr=RATE, betas=(0.9, 0.95)))
    if matrices:
        optimizers.append(Celo2(matrices, WEIGHTS, RATE))
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(one, lambda step: factor(step, steps))
        for one in optimizers
    ]

    def step(_):
        for optimizer, schedule in zip(optimizers, schedules, strict=True):
            optimizer.step()
            schedule.step()

    descend(task, weights, None, given=given, step=step, steps=steps)
