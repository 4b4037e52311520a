"""Adam with a constant learning rate of 3e-3, three times the baseline's."""

import torch

from evaluate.peers.common import Task, aliases, descend

given: dict = {}


def train(task: Task) -> None:
    """Train until `Done`."""
    weights = aliases(task)
    descend(task, weights, torch.optim.Adam(weights, lr=3e-3), given=given)
