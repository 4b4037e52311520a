"""Fixtures of the tests of benchmarks: a small pool of tasks."""

import pytest

from metalearn.episodes import Pool
from tasks import sample_group


@pytest.fixture(scope="session")
def pool():
    """Return four variants of a small network on digits, with baselines of 20 to 60 steps."""
    return Pool(sample_group("mlp", 1, 4), shortest=20, longest=60, seed=0)
