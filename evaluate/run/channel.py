"""Messages between the oracle's process and a submission's, over a pair of sockets.

A message is JSON, followed by tensors in PyTorch's weights-only format. The sender is not trusted,
and neither format can make the reader run code.
"""

import io
import json
import math
import os
import socket
import threading
from multiprocessing.connection import Connection
from typing import Any

import torch

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
        """Send plain data and optional nested tuples of tensors. Raise OSError if disconnected."""
        with self._lock:
            self._connection.send_bytes(
                json.dumps({**message, "tensors": tensors is not None}, default=_plain).encode()
            )
            if tensors is not None:
                buffer = io.BytesIO()
                torch.save(_alone(tensors), buffer)
                self._connection.send_bytes(buffer.getbuffer())

    def receive(self, seconds: float = math.inf) -> dict:
        """Return the next message, its tensors under "tensors" (None if it has none).

        Raise EOFError if the other end is gone, Garbled for a message that violates the protocol,
        and TimeoutError after `seconds`.
        """
        try:
            if seconds < math.inf and not (seconds > 0 and self._connection.poll(seconds)):
                raise TimeoutError
            message = json.loads(self._connection.recv_bytes(LARGEST_TEXT))
            has_tensors = message["tensors"]
            message["tensors"] = None
            if has_tensors:
                buffer = io.BytesIO(self._connection.recv_bytes(LARGEST))
                message["tensors"] = torch.load(buffer, weights_only=True)
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


def _alone(tensors):
    """Return the tensors without the rest of their storages, which would be sent too.

    A batch may be a view of all data, including the test data.
    """
    if not isinstance(tensors, torch.Tensor):
        return tuple(map(_alone, tensors)) if isinstance(tensors, (tuple, list)) else tensors
    if tensors.layout != torch.strided:
        return tensors
    base = tensors.detach()
    for axis, stride in enumerate(base.stride()):
        if not stride:  # expanded: all entries along it share memory
            base = base.narrow(axis, 0, min(1, base.shape[axis]))
    if base.untyped_storage().nbytes() > base.numel() * base.element_size():
        base = base.clone()
    return base.expand(tensors.shape)


def dense(tensors: Any) -> Any:
    """Return nested tuples of dense CPU tensors and None. Raise TypeError for anything else.

    Other layouts are unsafe: for example, nothing checks the indices of a sparse tensor.
    """
    if tensors is None:
        return None
    if isinstance(tensors, tuple | list):
        return tuple(map(dense, tensors))
    is_dense = type(tensors) is torch.Tensor and tensors.layout == torch.strided
    if not is_dense or tensors.device.type != "cpu" or tensors.is_quantized:
        raise TypeError("a batch is made of dense tensors on the CPU, or is one of the task's own")
    return tensors


def _plain(number):
    """Convert NumPy numbers and one-entry tensors to Python's. Raise TypeError for all else."""
    if not hasattr(number, "item"):
        raise TypeError(f"{type(number).__name__} is no number: oracles take numbers and tensors")
    return number.item()
