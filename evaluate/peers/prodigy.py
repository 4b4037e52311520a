"""Prodigy, its authors' package with its defaults: Adam that estimates its own learning rate.

Mishchenko and Defazio, "Prodigy: An Expeditiously Adaptive Parameter-Free Learner", ICML 2024.
"""

from prodigyopt import Prodigy

from evaluate.peers.loop import aliases, descend


def train(task):
    """Train until the oracle raises ``Done``; raises ValueError if an epoch holds no batch."""
    weights = aliases(task)
    optimizer = Prodigy(weights)
    descend(task, weights, lambda loss: optimizer.step())
