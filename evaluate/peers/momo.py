"""MoMo on Adam with its package's defaults (at most 1e-2), told each batch's loss.

Schaipp et al., "MoMo: Momentum Models for Adaptive Learning Rates", 2023.
"""

import torch
from momo import MomoAdam

from evaluate.peers.common import Task, aliases, descend

given: dict = {}


def train(task: Task) -> None:
    """Train until `Done`."""
    weights = aliases(task)
    optimizer = MomoAdam(weights)

    def step(loss):
        optimizer.step(loss=torch.as_tensor(loss))

    descend(task, weights, optimizer, given=given, step=step)
