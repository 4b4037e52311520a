"""Shared test set-up: one thread per process, so that xdist workers do not fight over cores; no
test reads or fills the user's cache."""

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Child processes inherit it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOTRAIN_LR_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
