"""Intervals of means."""

import numpy as np
import pytest

from writing.statistics import geometric_mean


def test_runs_of_one_network_are_drawn_together():
    """Duplicating every run doesn't narrow the interval."""
    logs = np.random.default_rng(1).normal(size=30)
    mean, (low, high) = geometric_mean(logs)
    twice, networks = np.repeat(logs, 2), np.repeat(np.arange(30), 2)
    again, (lower, higher) = geometric_mean(twice, networks)
    assert again == pytest.approx(mean)
    assert (lower, higher) == pytest.approx((low, high))
    _, (narrow, _) = geometric_mean(twice)
    assert mean - narrow < 0.85 * (mean - lower)
