"""D-Adaptation Adam with its package's defaults, constant factor 1.

Defazio and Mishchenko, "Learning-Rate-Free Learning by D-Adaptation", 2023.
"""

from dadaptation import DAdaptAdam

from evaluate.peers.common import Task, aliases, descend

given: dict = {}


def train(task: Task) -> None:
    """Train until `Done`."""
    weights = aliases(task)
    descend(task, weights, DAdaptAdam(weights), given=given)
