"""The oracle contract as a submission sees it: weights in shared memory, oracles elsewhere.

The network, the data, the target and the clock are in another process (evaluate.run.serving), out
of the submission's reach. A batch is a handle: its content is sent only when it is accessed.
"""

import builtins
import threading
from collections.abc import Sequence
from typing import Any

import torch

from evaluate.run.channel import Channel
from evaluate.run.shared_memory import attach
from evaluate.sandbox.limits import LimitReached


class Done(Exception):
    """The target is reached."""


class RemoteTask:
    """A `tasks.Task` over a channel. `state` aliases the network's own weights."""

    _live: list[torch.Tensor]
    _gradients: list[torch.Tensor]
    _candidate: list[torch.Tensor]
    _caller: "Caller"
    _testing: threading.Lock

    def __init__(self, channel: Channel, facts: dict, descriptor: int):
        tensors = attach(descriptor, facts["layout"])
        count = len(tensors) // 3
        vars(self).update(
            state=tensors[:count],
            default_batch_size=facts["default_batch_size"],
            target_test_loss=facts["target_test_loss"],
            _live=tensors[:count],
            _gradients=tensors[count : 2 * count],
            _candidate=tensors[2 * count :],
            _caller=Caller(channel),
            _testing=threading.Lock(),
        )

    def __setattr__(self, name, value):
        self._caller.cheat(f"the submission changed {name}")

    def train_iterator(self, *arguments: Any, **keywords: Any) -> "RemoteEpoch":
        """Return one epoch of batches: an iterable with a length."""
        answer = self._caller.call("epoch", arguments=arguments, keywords=keywords)
        return RemoteEpoch(self._caller, answer["id"], answer["length"])

    def batch_loss(self, batch: Any) -> float | torch.Tensor:
        """Return the loss of a batch in training mode."""
        return _loss(self._caller.on_batch("batch_loss", batch))

    def batch_loss_and_gradient(
        self, batch: Any
    ) -> tuple[float | torch.Tensor, list[torch.Tensor]]:
        """Return the loss of a batch, and gradients that the next call overwrites."""
        loss = _loss(self._caller.on_batch("batch_loss_and_gradient", batch))
        return loss, list(self._gradients)

    def test(self, state: Sequence[torch.Tensor] | None = None) -> float | torch.Tensor:
        """Return the test loss. Raise Done below the target."""
        if state is None:
            return _loss(self._caller.call("test", which="none"))
        state = list(state)
        if [one.shape for one in state] != [one.shape for one in self._live]:
            raise ValueError("test: the tensors do not have the shapes of task.state")
        if all(map(_same_storage, state, self._live)):
            return _loss(self._caller.call("test", which="live"))
        with self._testing, torch.no_grad():  # only one candidate fits
            for kept, one in zip(self._candidate, state, strict=True):
                kept.copy_(one)
            return _loss(self._caller.call("test", which="candidate"))


class Caller:
    """Make calls over the channel, and raise here what the other side raises.

    Several threads may call, for example to prefetch batches.
    """

    def __init__(self, channel: Channel):
        self._channel = channel
        self._lock = threading.Lock()
        self.forgotten: list[int] = []  # handles that were deleted here

    def call(self, name: str, tensors: Any = None, **fields: Any) -> dict:
        """Send one call and return the answer."""
        with self._lock:
            forget, self.forgotten = self.forgotten, []
            self._channel.send({"call": name, "forget": forget, **fields}, tensors)
            answer = self._channel.receive()
        if "done" in answer:
            raise Done
        if "limit" in answer:
            raise LimitReached
        if "raised" in answer:
            kind = getattr(builtins, answer["raised"], None)
            is_error = isinstance(kind, type) and issubclass(kind, Exception)
            raise (kind if is_error else RuntimeError)(answer["message"])
        return answer

    def on_batch(self, name: str, batch: Any) -> dict:
        """Call an oracle on a handle, or on a batch (x, y, ...) made by the submission."""
        if isinstance(batch, RemoteBatch):
            return self.call(name, batch=batch.id)
        return self.call(name, tensors=tuple(batch))

    def cheat(self, message: str) -> None:
        """Report a broken rule, which ends the run."""
        self._channel.send({"cheat": message})


class Handle:
    """A reference to an object that the other side keeps while this handle lives."""

    def __init__(self, caller: Caller, identity: int):
        self._caller, self.id = caller, identity

    def __del__(self):
        self._caller.forgotten.append(self.id)


class RemoteEpoch(Handle):
    """An epoch of batches. Each iteration over it uses a new order."""

    def __init__(self, caller: Caller, identity: int, length: int | None):
        super().__init__(caller, identity)
        self._length = length

    def __len__(self):
        if self._length is None:
            raise TypeError("this task's train_iterator has no len()")
        return self._length

    def __iter__(self):
        batches = Handle(self._caller, self._caller.call("iterate", epoch=self.id)["id"])
        while "id" in (answer := self._caller.call("next", iterator=batches.id)):
            yield RemoteBatch(self._caller, answer["id"])


class RemoteBatch(Handle):
    """A batch with the task's fields (`x`, `y`, ...), fetched at the first access."""

    _fetched: tuple | None = None

    def _fetch(self) -> tuple[list[str], tuple]:
        if self._fetched is None:
            answer = self._caller.call("look", batch=self.id)
            self._fetched = (answer["names"], answer["tensors"])
        return self._fetched

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        names, values = self._fetch()
        if name not in names:
            raise AttributeError(f"a batch has no field {name}; it has {', '.join(names)}")
        return values[names.index(name)]

    def __iter__(self):
        return iter(self._fetch()[1])

    def __len__(self):
        return len(self._fetch()[1])

    def __getitem__(self, index):
        return self._fetch()[1][index]


def _same_storage(one: torch.Tensor, other: torch.Tensor) -> bool:
    return (
        one is other
        or one.data_ptr() == other.data_ptr()
        and one.stride() == other.stride()
        and one.dtype == other.dtype
    )


def _loss(answer: dict) -> Any:
    """Return the loss as the oracle returned it: a float, or a 0-d tensor."""
    if answer["dtype"] is None:
        return answer["loss"]
    return torch.tensor(answer["loss"], dtype=getattr(torch, answer["dtype"]))
