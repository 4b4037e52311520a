"""Adam with learning rate 3e-3, tested at the polynomial-decay average of its weights.

Shamir and Zhang, "Stochastic Gradient Descent for Non-smooth Optimization", ICML 2013, section 4:
average += (eta + 1) / (t + eta) * (weights - average), with eta = 9; it needs no horizon. This is
what a constant rate gains by averaging, without anything learned.
"""

import torch

from evaluate.peers.loop import aliases, descend, test_at

ETA = 9


def train(task):
    """Train until the oracle raises ``Done``; raises ValueError if an epoch holds no batch."""
    weights = aliases(task)
    average = [weight.clone() for weight in weights]
    optimizer = torch.optim.Adam(weights, lr=3e-3)
    steps = 0

    def step(loss):
        nonlocal steps
        optimizer.step()
        steps += 1
        torch._foreach_lerp_(average, weights, (ETA + 1) / (steps + ETA))

    descend(task, weights, step, test=lambda recent: test_at(task, weights, average, recent))
