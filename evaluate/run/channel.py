"""Messages between the oracle's process and a submission's, over a pair of sockets.

JSON, with tensors beside it in PyTorch's format for weights: neither can make the reader run code,
and the one who writes is not trusted.
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

#: Bytes of a message; a batch that a submission made itself is the largest.
LARGEST = 2**30
#: Bytes of a message's plain part; the learning rates of a run are the largest.
LARGEST_TEXT = 2**24


class Garbled(Exception):
    """A message that is not of the protocol."""


class Channel:
    """One end. `send` may be called by several threads."""

    def __init__(self, descriptor: int):
        self._connection = Connection(descriptor)
        self._lock = threading.Lock()

    def send(self, message: dict, tensors: Any = None) -> None:
        """Send plain data and, if given, nested tuples of tensors. Raises OSError if cut off."""
        with self._lock:
            self._connection.send_bytes(
                json.dumps({**message, "tensors": tensors is not None}, default=_plain).encode()
            )
            if tensors is not None:
                buffer = io.BytesIO()
                torch.save(_alone(tensors), buffer)
                self._connection.send_bytes(buffer.getbuffer())

    def receive(self, seconds: float = math.inf) -> dict:
        """The next message, its tensors under "tensors" (None if it has none).

        Raises EOFError if the other end is gone, Garbled, and TimeoutError after so many seconds.
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
        except OSError as problem:  # cut off, or a length beyond the largest
            raise EOFError from problem
        except Exception as problem:
            raise Garbled from problem
        return message

    def send_descriptor(self, descriptor: int) -> None:
        """Hand over an open file. Raises OSError if cut off."""
        with self._lock, self._socket() as end:
            socket.send_fds(end, [b"\0"], [descriptor])

    def receive_descriptor(self) -> int:
        """The open file that the other end hands over; raises EOFError if that is gone."""
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
    """The same tensors without what else lies in their storage, which would be sent along: a batch
    may be a view of all data, those of the test included."""
    if not isinstance(tensors, torch.Tensor):
        return tuple(map(_alone, tensors)) if isinstance(tensors, (tuple, list)) else tensors
    if tensors.layout != torch.strided:
        return tensors
    base = tensors.detach()
    for axis, stride in enumerate(base.stride()):
        if not stride:  # expanded: all places along it are one
            base = base.narrow(axis, 0, min(1, base.shape[axis]))
    if base.untyped_storage().nbytes() > base.numel() * base.element_size():
        base = base.clone()
    return base.expand(tensors.shape)


def dense(tensors: Any) -> Any:
    """The same, of nothing but dense tensors on the CPU and None: the indices in a sparse one, say,
    are checked by nobody. Raises TypeError for all else."""
    if tensors is None:
        return None
    if isinstance(tensors, tuple | list):
        return tuple(map(dense, tensors))
    is_dense = type(tensors) is torch.Tensor and tensors.layout == torch.strided
    if not is_dense or tensors.device.type != "cpu" or tensors.is_quantized:
        raise TypeError("a batch is made of dense tensors on the CPU, or is one of the task's own")
    return tensors


def _plain(number):
    """NumPy's numbers, and tensors with one entry, as Python's; raises TypeError for all else."""
    if not hasattr(number, "item"):
        raise TypeError(f"{type(number).__name__} is no number: oracles take numbers and tensors")
    return number.item()
