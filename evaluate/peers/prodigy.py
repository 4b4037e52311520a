"""Prodigy with its package's defaults, constant factor 1.

Mishchenko and Defazio, "Prodigy: An Expeditiously Adaptive Parameter-Free Learner", 2023.
"""

from prodigyopt import Prodigy

from evaluate.peers.common import Task, aliases, descend

given: dict = {}


def train(task: Task) -> None:
    """Train until `Done`."""
    weights = aliases(task)
    descend(task, weights, Prodigy(weights), given=given)
