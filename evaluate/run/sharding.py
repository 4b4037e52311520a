"""One evaluation over several machines, under the launcher of meta-training (torchrun).

Each process takes the pairs whose turn it is and adds to the same results folder, so nothing needs
to be exchanged: a pair's limits and horizons follow from the pair's own baseline.
"""

import os
from collections.abc import Sequence

from evaluate.errors import InputError
from evaluate.pairs import Pair


def world_size() -> int:
    """Processes that the launcher started; 1 without a launcher."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """The number of this process among these; 0 without a launcher."""
    return int(os.environ.get("RANK", "0"))


def own_device(device: str) -> str:
    """The device for this process: of several GPUs its own."""
    return f"cuda:{os.environ['LOCAL_RANK']}" if device == "cuda" and world_size() > 1 else device


def own_share(pairs: Sequence[Pair], steps_only: bool) -> list[Pair]:
    """The pairs that this process is to run. Raises InputError if they are to be timed."""
    if world_size() > 1 and not steps_only:
        raise InputError(
            f"{world_size()} processes by torchrun would disturb each other's clock; "
            "add --steps-only, or start one process"
        )
    return list(pairs[rank() :: world_size()])
