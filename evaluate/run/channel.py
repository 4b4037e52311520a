"""Messages between the oracle's process and a submission's, over a pair of sockets.

A message is JSON, followed by the bytes of its tensors. The sender is not trusted, and neither can
make the reader run code. PyTorch's weights-only format would not do: it can ask for a tensor of
memory that the reader has freed, with test data in it.
"""

import json
import math
import os
import socket
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import torch

from evaluate.run.shared_memory import DTYPES, entries, laid_out, tensors_in

#: Bytes of a message. The largest is a batch that the submission made itself.
LARGEST = 2**30
#: Bytes of a message's JSON. The largest holds the learning rates of a run.
LARGEST_TEXT = 2**24


class Garbled(Exception):
    """A message that violates the protocol."""


class Channel:
    """One end of the channel. Several threads may call `send`."""

    def __init__(self, descriptor: int):
        self._connection = Connection(descriptor)
        self._lock = threading.Lock()

    def send(self, message: dict, tensors: Any = None) -> None:
        """Send plain data and optional nested tuples of tensors and None.

        Raise OSError if disconnected, and TypeError for tensors that are not dense.
        """
        kept: list[torch.Tensor] = []
        shapes = None if tensors is None else _shapes(tensors, kept)
        layout, size = laid_out(kept)
        memory = bytearray(size)
        for place, tensor in zip(tensors_in(memory, layout), kept, strict=True):
            place.copy_(tensor)
        told = {**message, "tensors": shapes, "parts": layout}
        with self._lock:
            self._connection.send_bytes(json.dumps(told, default=_plain).encode())
            if shapes is not None:
                self._connection.send_bytes(memory)

    def receive(self, seconds: float = math.inf) -> dict:
        """Return the next message, its tensors under "tensors" (None if it has none).

        Raise EOFError if the other end is gone, Garbled for a message that violates the protocol,
        and TimeoutError after `seconds`.
        """
        try:
            if seconds < math.inf and not (seconds > 0 and self._connection.poll(seconds)):
                raise TimeoutError
            message = json.loads(self._connection.recv_bytes(LARGEST_TEXT))
            if message["tensors"] is not None:
                memory = bytearray(self._connection.recv_bytes(LARGEST))
                parts = iter(tensors_in(memory, message["parts"]))
                message["tensors"] = _shaped(message["tensors"], parts)
        except (EOFError, TimeoutError):
            raise
        except OSError as problem:  # disconnected, or longer than the limit
            raise EOFError from problem
        except Exception as problem:
            raise Garbled from problem
        return message

    def send_descriptor(self, descriptor: int) -> None:
        """Send an open file. Raise OSError if disconnected."""
        with self._lock, self._socket() as end:
            socket.send_fds(end, [b"\0"], [descriptor])

    def receive_descriptor(self) -> int:
        """Return the open file that the other end sends. Raise EOFError if it is gone."""
        with self._socket() as end:
            _, descriptors, *_ = socket.recv_fds(end, 1, 1)
        if not descriptors:
            raise EOFError
        return descriptors[0]

    def _socket(self) -> socket.socket:
        return socket.socket(fileno=os.dup(self._connection.fileno()))

    def close(self) -> None:
        """Close this end."""
        self._connection.close()


def _shapes(tensors: Any, kept: list[torch.Tensor]) -> Any:
    """Return the tensors' shapes, nested alike, and add to `kept` what is to be sent of each.

    That is not their storages: a batch may be a view of all data, including the test data.
    """
    if tensors is None:
        return None
    if isinstance(tensors, tuple | list):
        return [_shapes(one, kept) for one in tensors]
    is_dense = isinstance(tensors, torch.Tensor) and tensors.layout == torch.strided
    if not is_dense or tensors.device.type != "cpu" or tensors.dtype not in DTYPES.values():
        raise TypeError("a batch is made of dense tensors on the CPU, or is one of the task's own")
    base = tensors.detach()
    for axis, stride in enumerate(base.stride()):
        if not stride:  # expanded: all entries along it share memory
            base = base.narrow(axis, 0, min(1, base.shape[axis]))
    kept.append(base)
    return {"shape": list(tensors.shape)}


def _shaped(shapes: Any, parts: Iterator[torch.Tensor]) -> Any:
    if shapes is None:
        return None
    if isinstance(shapes, list):
        return tuple([_shaped(one, parts) for one in shapes])
    entries(shapes["shape"])
    return next(parts).expand(shapes["shape"])


def _plain(number):
    """Convert NumPy numbers and one-entry tensors to Python's. Raise TypeError for all else."""
    if not hasattr(number, "item"):
        raise TypeError(f"{type(number).__name__} is no number: oracles take numbers and tensors")
    return number.item()
