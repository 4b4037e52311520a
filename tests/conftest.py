"""Shared test set-up.

Each process has one thread, so that xdist workers don't compete for cores. Tests neither read nor
fill the user's cache.
"""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Set an empty cache folder, which child processes inherit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOTRAIN_LR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def unrestrain(monkeypatch):
    """Return a function that switches off the restraint of rates for the rest of a test."""
    none = ((0.0, 1, 1.0),)
    return lambda: monkeypatch.setattr("policy.rule.signal.RESTRAINTS", none)
