"""D-Adaptation Adam, its authors' package with its defaults.

Defazio and Mishchenko, "Learning-Rate-Free Learning by D-Adaptation", ICML 2023.
"""

from dadaptation import DAdaptAdam

from evaluate.peers.loop import aliases, descend


def train(task):
    """Train until the oracle raises ``Done``; raises ValueError if an epoch holds no batch."""
    weights = aliases(task)
    optimizer = DAdaptAdam(weights)
    descend(task, weights, lambda loss: optimizer.step())
