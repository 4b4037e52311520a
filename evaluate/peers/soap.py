"""SOAP, pytorch_optimizer's with its defaults: Adam in the eigenbasis of Shampoo's preconditioner.

Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", ICLR 2025; learning rate 3e-3.
"""

from pytorch_optimizer import SOAP

from evaluate.peers.loop import aliases, descend


def train(task):
    """Train until the oracle raises ``Done``; raises ValueError if an epoch holds no batch."""
    weights = aliases(task)
    optimizer = SOAP(weights)
    descend(task, weights, lambda loss: optimizer.step())
