"""MoMo-Adam, its authors' package with its defaults: Adam with a rate capped by a model.

Schaipp et al., "MoMo: Momentum Models for Adaptive Learning Rates", ICML 2024; rate at most 1e-2.
"""

import torch
from momo import MomoAdam

from evaluate.peers.loop import aliases, descend


def train(task):
    """Train until the oracle raises ``Done``; raises ValueError if an epoch holds no batch."""
    weights = aliases(task)
    optimizer = MomoAdam(weights)
    descend(task, weights, lambda loss: optimizer.step(loss=torch.as_tensor(loss)))
