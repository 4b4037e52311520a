"""The task of the zoo's submissions, and an honest descent that they may call."""

import pydoc
from pathlib import Path

import pytest
import sklearn.datasets

from evaluate.sandbox.landlock import landlock_version
from evaluate.sandbox.namespaces import namespaces_work
from tasks import Variant

TINY = Variant("mlp", "digits", arch={"width": 16}, batch_size=64, target=1.8)
DIGITS = Path(sklearn.datasets.__file__).parent / "data" / "digits.csv.gz"
TOPICS = Path(pydoc.__file__).parent / "pydoc_data" / "topics.py"
HONEST = """
def descend(task):
    while True:
        for batch in task.train_iterator(batch_size=task.default_batch_size, shuffle=True):
            _, gradients = task.batch_loss_and_gradient(batch)
            for weight, gradient in zip(task.state, gradients):
                weight.sub_(0.5 * gradient)
        task.test(task.state)
"""
needs_namespaces = pytest.mark.skipif(not namespaces_work(), reason="needs user namespaces")
needs_landlock = pytest.mark.skipif(landlock_version() < 1, reason="needs Landlock")
