"""Which part of the particles a process holds, and what processes have to agree on.

Every process draws the random numbers of *all* pairs and keeps its slice, so a run has the same
particles on any number of processes. What they exchange is small: the meta-gradient, losses,
counts, scores and checksums.
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

# Processes wait for each other while some compute curves or play evaluations to their ends.
PATIENCE = datetime.timedelta(hours=6)


@dataclasses.dataclass(frozen=True)
class Shard:
    """Part `rank` of `size` equal parts."""

    rank: int = 0
    size: int = 1

    def take(self, values: torch.Tensor) -> torch.Tensor:
        """This part of the first axis; its length must be a multiple of `size`."""
        count = len(values) // self.size
        return values[self.rank * count : (self.rank + 1) * count]

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Sum of a tensor over all processes."""
        if self.size == 1:
            return values
        values = values.clone()
        dist.all_reduce(values)
        return values

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        """The tensors of all processes, alike in shape and type: `[size, *values.shape]`."""
        rows = values.new_zeros((self.size, *values.shape))
        rows[self.rank] = values
        return self.sum(rows)

    def agree(self, numbers: Sequence[float] | float, device: torch.device | str) -> bool:
        """Whether all processes gave the same numbers; the same answer on all of them."""
        rows = self.gather(torch.tensor(numbers, dtype=torch.float64, device=device))
        return bool((rows == rows[0]).all())

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.size > 1:
            dist.barrier()

    def leave(self) -> None:
        """End the exchange, when this process is done."""
        if self.size > 1:
            dist.destroy_process_group()


@contextlib.contextmanager
def alone_in(folder: Path, shard: Shard, patience: float = 0.0) -> Iterator[None]:
    """Hold the folder as `tasks.locks.locked` does; the first process does so for all of a run.

    Raises BlockingIOError where another run still holds it after `patience` seconds.
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
    """Return the shard of this process, all of it when started without torchrun, and its device.

    Raises ConfigError where there is no accelerator for it, or where workers of several machines
    could not be restarted.
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
        # Workers that torchrun restarts must not meet the counters of their predecessors in it:
        # they would wait for each other for ever.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        store = dist.PrefixStore(f"attempt {attempt}", store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=PATIENCE)
    return Shard(dist.get_rank(), size), torch.device(device)


def _is_kept():
    """Whether torchrun keeps the processes' store from one attempt to the next."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def _check_store():
    """On several machines the attempts have no number that all know: each counts its own."""
    restarts = os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0")
    if _is_kept() and os.environ.get("GROUP_WORLD_SIZE", "1") != "1" and restarts != "0":
        raise ConfigError(
            "restarted workers would wait for ever for those of other machines: "
            "export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 before torchrun, or give --max-restarts 0"
        )
