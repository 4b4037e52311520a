"""Mechanic on Adam with its package's defaults.

Cutkosky, Defazio and Mehta, "Mechanic: A Learning Rate Tuner", 2023.
"""

import torch
from mechanic_pytorch import mechanize

from evaluate.peers.common import Task, aliases, descend

given: dict = {}


def train(task: Task) -> None:
    """Train until `Done`."""
    weights = aliases(task)
    descend(task, weights, mechanize(torch.optim.Adam)(weights, lr=1.0), given=given)
