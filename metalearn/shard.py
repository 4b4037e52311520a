"""Split the particles among processes, and let these exchange numbers.

Every process draws the random numbers of *all* pairs and keeps its slice, so a run has the same
particles on any number of processes. Processes exchange little: the meta-gradient, losses, counts,
scores and checksums.
"""

import contextlib
import dataclasses
import datetime
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
import torch.distributed as dist

from metalearn.config import ConfigError
from tasks.locks import locked

# Processes wait this long for others that compute baseline curves or run evaluations.
PATIENCE = datetime.timedelta(hours=6)


@dataclasses.dataclass(frozen=True)
class Shard:
    """Part `rank` of `size` equal parts."""

    rank: int = 0
    size: int = 1

    def take(self, values: torch.Tensor) -> torch.Tensor:
        """Return this part of the first axis, whose length must be a multiple of `size`."""
        count = len(values) // self.size
        return values[self.rank * count : (self.rank + 1) * count]

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of a tensor over all processes."""
        if self.size == 1:
            return values
        values = values.clone()
        dist.all_reduce(values)
        return values

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        """Return the tensors of all processes, of equal shape and type, `[size, *values.shape]`."""
        rows = values.new_zeros((self.size, *values.shape))
        rows[self.rank] = values
        return self.sum(rows)

    def agree(self, numbers: Sequence[float] | float, device: torch.device | str) -> bool:
        """Return whether all processes gave the same numbers. All get the same answer."""
        rows = self.gather(torch.tensor(numbers, dtype=torch.float64, device=device))
        return bool((rows == rows[0]).all())

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.size > 1:
            dist.barrier()

    def leave(self) -> None:
        """Leave the process group when this process is done."""
        if self.size > 1:
            dist.destroy_process_group()


@contextlib.contextmanager
def alone_in(folder: Path, shard: Shard, patience: float = 0.0) -> Iterator[None]:
    """Hold the folder's lock file (`tasks.locks.locked`). The first process does so for all.

    Raises BlockingIOError if another run still holds it after `patience` seconds.
    """
    with contextlib.ExitStack() as stack:
        try:
            if shard.rank == 0:
                stack.enter_context(locked(folder / ".lock", patience))
        except BlockingIOError:
            raise BlockingIOError(
                f"{folder}: another process writes there; let it end, or give another --out"
            ) from None
        yield


def join(device: str) -> tuple[Shard, torch.device]:
    """Return this process's shard and device. Without torchrun the shard is the whole.

    Raises ConfigError if there is no GPU for the process, or if restarted workers on several
    machines would hang.
    """
    own, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if device == "cuda" and own >= count:
        raise ConfigError(
            f"device cuda: process {own} of this machine needs a GPU of its own, torch finds "
            f"{count}: give --device cpu, or start as many processes as there are GPUs"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Shard(), torch.device(device)
    _check_store()
    backend = "gloo"
    if device == "cuda":
        backend, device = "nccl", f"cuda:{own}"
        torch.cuda.set_device(device)
    store, rank, size = next(dist.rendezvous("env://"))
    if _is_kept():
        # Workers that torchrun restarts must not see their predecessors' counters in the store:
        # they would wait for each other forever.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        store = dist.PrefixStore(f"attempt {attempt}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    return Shard(dist.get_rank(), size), torch.device(device)


def _is_kept():
    """Return whether torchrun keeps the processes' store from one attempt to the next."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def _check_store():
    """Raise ConfigError if restarts could hang: each machine counts its own attempts."""
    restarts = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")
    if _is_kept() and os.environ.get("GROUP_WORLD_SIZE", "1") != "1" and restarts != "0":
        raise ConfigError(
            "restarted workers would wait for ever for those of other machines: "
            "export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 before torchrun, or give --max-restarts 0"
        )
