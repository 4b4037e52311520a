"""The learned optimizer in a plain training loop, without the driver of `train.py`.

`policy.optimizer.LearnedLR` as a user has it: batches of the default size, averaged weights tested
at the same pace as those of the averaged peers.
"""

import contextlib

from evaluate.peers.common import Task, aliases, descend
from policy.optimizer import LearnedLR
from policy.shipped import shipped_policy

POLICY = shipped_policy()  # read before the clock starts, as train.py has it
given: dict = {}


def train(task: Task) -> None:
    """Train until `Done`."""
    weights = aliases(task)
    optimizer = LearnedLR(weights, policy=POLICY)

    @contextlib.contextmanager
    def evaluation():
        optimizer.eval()
        yield
        optimizer.train()

    descend(
        task, weights, optimizer, given=given, step=optimizer.step, swap=evaluation, is_paced=True
    )
