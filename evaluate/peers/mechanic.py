"""Mechanic around AdamW, its authors' package with its defaults: tunes the scale of the rate.

Cutkosky, Defazio and Mehta, "Mechanic: A Learning Rate Tuner", NeurIPS 2023.
"""

import torch
from mechanic_pytorch import mechanize

from evaluate.peers.loop import aliases, descend


def train(task):
    """Train until the oracle raises ``Done``; raises ValueError if an epoch holds no batch."""
    weights = aliases(task)
    optimizer = mechanize(torch.optim.AdamW)(weights, lr=1.0)
    descend(task, weights, lambda loss: optimizer.step())
