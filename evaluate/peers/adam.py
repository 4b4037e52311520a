"""The baseline: bias-corrected Adam with the defaults of its paper, tested once an epoch.

Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1:
learning rate 1e-3, betas 0.9 and 0.999, epsilon 1e-8. No schedule, no averaging, no tuning.
"""

import torch

from evaluate.peers.loop import aliases, descend


def train(task):
    """Train until the oracle raises ``Done``; raises ValueError if an epoch holds no batch."""
    weights = aliases(task)
    optimizer = torch.optim.Adam(weights, lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    descend(task, weights, lambda loss: optimizer.step())
