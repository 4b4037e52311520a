"""DoG with its package's defaults, and the averaging that its authors call crucial.

Ivgi, Hinder and Carmon, "DoG is SGD's Best Friend", 2023.
"""

from dog import DoG

from evaluate.peers.common import Task, aliases, descend

given: dict = {}


def train(task: Task) -> None:
    """Train until `Done`."""
    weights = aliases(task)
    descend(task, weights, DoG(weights), given={**given, "average": True})
