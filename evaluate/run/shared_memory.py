"""Tensors shared by two processes, in anonymous memory passed as a file descriptor."""

import fcntl
import math
import mmap
import os
from collections.abc import Sequence

import torch
from torch import Tensor

#: Bytes. Every tensor starts at a multiple, as with PyTorch's own allocator.
ALIGNMENT = 64
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def create(like: Sequence[Tensor]) -> tuple[int, list[dict], list[Tensor]]:
    """Create shared memory for contiguous CPU tensors of these shapes and dtypes, all zero.

    Return its file descriptor, the layout for `attach` as plain data, and the tensors.
    """
    layout, end = [], 0
    for tensor in like:
        layout.append(
            {
                "shape": list(tensor.shape),
                "dtype": str(tensor.dtype).removeprefix("torch."),
                "offset": end,
            }
        )
        end += math.ceil(tensor.numel() * tensor.element_size() / ALIGNMENT) * ALIGNMENT
    # Not /dev/shm: containers often limit it to 64 MB.
    descriptor = os.memfd_create("evaluate", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, max(end, 1))
    # Seal it: truncating a mapped file would kill the other process at its next access.
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor, layout, attach(descriptor, layout)


def attach(descriptor: int, layout: Sequence[dict]) -> list[Tensor]:
    """Return the tensors in the memory behind a descriptor. They keep the memory alive."""
    memory = mmap.mmap(descriptor, os.fstat(descriptor).st_size)
    tensors = []
    for entry in layout:
        dtype, shape = getattr(torch, entry["dtype"]), entry["shape"]
        count = math.prod(shape)
        flat = (
            torch.frombuffer(memory, dtype=dtype, count=count, offset=entry["offset"])
            if count
            else torch.empty(0, dtype=dtype)
        )
        tensors.append(flat.view(shape))
    return tensors
