"""What tests of benchmarks share: a small pool of tasks."""

import pytest

from metalearn.episodes import Pool
from tasks import sample_group


@pytest.fixture(scope="session")
def pool():
    """Four variants of a small network on digits, baselines of 20 to 60 steps."""
    return Pool(sample_group("mlp", 1, 4), shortest=20, longest=60, seed=0)
