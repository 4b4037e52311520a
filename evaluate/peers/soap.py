"""SOAP at its paper's learning rate 3e-3, without weight decay.

Vyas et al., "SOAP: Improving and Stabilizing Shampoo using Adam", 2024. pytorch_optimizer's first
step only starts the preconditioner.
"""

from pytorch_optimizer import SOAP

from evaluate.peers.common import Task, aliases, descend

given: dict = {}


def train(task: Task) -> None:
    """Train until `Done`."""
    weights = aliases(task)
    descend(task, weights, SOAP(weights, lr=3e-3, weight_decay=0.0), given=given)
