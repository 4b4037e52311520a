"""The oracle that no user has: Adam, learning rate and cosine length tuned for each pair.

The grid, and how the best point of it is found, stand in evaluate/score/tuning.py.
"""

import math

import torch

from evaluate.peers.common import Task, aliases, cosine, descend, horizon_of

given: dict = {}


def train(task: Task) -> None:
    """Train until `Done`, or to the end of the cosine if there is one."""
    weights = aliases(task)
    optimizer = torch.optim.Adam(weights, lr=given["learning_rate"])
    if given["cosine"] is None:
        steps, schedule = math.inf, None
    else:
        steps = max(1, round(given["cosine"] * horizon_of(given)))
        schedule = cosine(optimizer, steps)
    descend(task, weights, optimizer, given=given, schedule=schedule, steps=steps)
