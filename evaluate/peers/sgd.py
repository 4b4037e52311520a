"""Stochastic gradient descent with momentum 0.9 and a constant learning rate of 0.1."""

import torch

from evaluate.peers.common import Task, aliases, descend

given: dict = {}


def train(task: Task) -> None:
    """Train until `Done`."""
    weights = aliases(task)
    optimizer = torch.optim.SGD(weights, lr=0.1, momentum=0.9)
    descend(task, weights, optimizer, given=given)
