"""Schedule-free AdamW with its package's defaults (learning rate 2.5e-3).

Defazio et al., "The Road Less Scheduled", 2024. It tests the weights that its `eval` shows.
"""

import contextlib

from schedulefree import AdamWScheduleFree

from evaluate.peers.common import Task, aliases, descend

given: dict = {}


def train(task: Task) -> None:
    """Train until `Done`."""
    weights = aliases(task)
    optimizer = AdamWScheduleFree(weights, lr=2.5e-3)
    optimizer.train()

    @contextlib.contextmanager
    def evaluation():
        optimizer.eval()
        yield
        optimizer.train()

    descend(task, weights, optimizer, given=given, swap=evaluation)
