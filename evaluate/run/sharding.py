"""Share one evaluation among several machines, started by torchrun like meta-training.

Each process takes every n-th pair and writes into the same results folder. Nothing is exchanged: a
pair's limits and horizons depend only on its own baseline.
"""

import os
from collections.abc import Sequence

from evaluate.errors import InputError
from evaluate.pairs import Pair


def world_size() -> int:
    """Return the number of processes that the launcher started; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return the rank of this process; 0 without a launcher."""
    return int(os.environ.get("RANK", "0"))


def own_device(device: str) -> str:
    """Return the device for this process: under a launcher, its own GPU."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and world_size() > 1 else device


def own_share(pairs: Sequence[Pair], steps_only: bool) -> list[Pair]:
    """Return the pairs for this process. Raise InputError for timed runs in several processes."""
    if world_size() > 1 and not steps_only:
        raise InputError(
            f"{world_size()} processes by torchrun would disturb each other's clock; "
            "add --steps-only, or start one process"
        )
    return list(pairs[rank() :: world_size()])
