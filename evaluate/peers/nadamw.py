"""NAdamW at the single point that AlgoPerf's self-tuning baseline uses on all its workloads.

Dahl et al., "Benchmarking Neural Network Training Algorithms", 2023: learning rate 0.00175, betas
0.933 and 0.9955, weight decay 0.081, warm-up over 2 % of the horizon, then a cosine. Without
AlgoPerf's dropout and label smoothing: here the loss is the task's.
"""

import math

import torch

from evaluate.peers.common import Task, aliases, cosine, descend, horizon_of

given: dict = {}


def train(task: Task) -> None:
    """Train until `Done`, or to the end of the cosine."""
    steps = horizon_of(given)
    weights = aliases(task)
    optimizer = torch.optim.NAdam(
        weights,
        lr=0.00175,
        betas=(0.933, 0.9955),
        weight_decay=0.081,
        decoupled_weight_decay=True,
        momentum_decay=1e6,  # so large that momentum is at its full value from the first step
    )
    schedule = cosine(optimizer, steps, warm_up=math.ceil(0.02 * steps))
    descend(task, weights, optimizer, given=given, schedule=schedule, steps=steps)
