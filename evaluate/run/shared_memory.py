"""Tensors in memory that two processes share, or that one sends to the other.

Of memory from an untrusted process, only the bytes themselves become tensors.
"""

import fcntl
import math
import mmap
import os
from collections.abc import Sequence

import torch
from torch import Tensor

#: Bytes. Every tensor starts at a multiple, as with PyTorch's own allocator.
ALIGNMENT = 64
#: Element types that may cross. Others, such as quantised ones, have kernels that check nothing.
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
        torch.complex128, torch.complex64,
    )
}  # fmt: skip
#: Entries of a tensor. PyTorch's own count of more could overflow, and pass for a small one.
_MOST_ENTRIES = 2**53
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def create(like: Sequence[Tensor]) -> tuple[int, list[dict], list[Tensor]]:
    """Create shared memory for contiguous CPU tensors of these shapes and dtypes, all zero.

    Return its file descriptor, the layout for `attach` as plain data, and the tensors.
    """
    layout, size = laid_out(like)
    # Not /dev/shm: containers often limit it to 64 MB.
    descriptor = os.memfd_create("evaluate", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, max(size, 1))
    # Seal it: truncating a mapped file would kill the other process at its next access.
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    return descriptor, layout, attach(descriptor, layout)


def attach(descriptor: int, layout: Sequence[dict]) -> list[Tensor]:
    """Return the tensors in the memory behind a descriptor. They keep the memory alive."""
    return tensors_in(mmap.mmap(descriptor, os.fstat(descriptor).st_size), layout)


def laid_out(like: Sequence[Tensor]) -> tuple[list[dict], int]:
    """Return a layout for tensors of these shapes and dtypes, as plain data, and its bytes."""
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
    return layout, end


def tensors_in(memory: mmap.mmap | bytearray, layout: Sequence[dict]) -> list[Tensor]:
    """Return the tensors that share this memory. Raise an exception if one does not fit."""
    tensors = []
    for entry in layout:
        dtype, shape = DTYPES[entry["dtype"]], entry["shape"]
        count = entries(shape)
        flat = (
            torch.frombuffer(memory, dtype=dtype, count=count, offset=entry["offset"])
            if count
            else torch.empty(0, dtype=dtype)
        )
        tensors.append(flat.view(shape))
    return tensors


def entries(shape: Sequence[int]) -> int:
    """Return the number of entries of this shape. Raise ValueError if no tensor can have it."""
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count > _MOST_ENTRIES:
        raise ValueError("not the shape of a tensor")
    return count
