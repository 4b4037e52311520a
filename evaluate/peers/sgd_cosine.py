"""What image networks are usually trained with: SGD with momentum, and a cosine to the horizon.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016, section 3.4:
learning rate 0.1, momentum 0.9, weight decay 1e-4. In place of their divisions by ten, whose times
belong to a data set, half a cosine (Loshchilov and Hutter 2017).
"""

import torch

from evaluate.peers.common import Task, aliases, cosine, descend, horizon_of

given: dict = {}


def train(task: Task) -> None:
    """Train until `Done`, or to the end of the cosine."""
    steps = horizon_of(given)
    weights = aliases(task)
    optimizer = torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=1e-4)
    descend(task, weights, optimizer, given=given, schedule=cosine(optimizer, steps), steps=steps)
