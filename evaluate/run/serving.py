"""The oracle's side: put a task's weights into shared memory and answer a submission's calls."""

import math
import time
from itertools import count
from typing import Any

import torch

from evaluate.outcomes import Outcome
from evaluate.run.channel import Channel, Garbled
from evaluate.run.counting import CountingTask, modules
from evaluate.run.shared_memory import create
from evaluate.sandbox.limits import Ended, LimitReached, time_limit
from evaluate.text import LONGEST, clean
from tasks import Batch, Done, Task

#: Seconds a submission may take to finish after it was told that the run is over.
WIND_UP = 5.0
#: Seconds that a submission's file may take to load, with imports. This is off the clock, before
#: it has received anything about the task.
LOAD_LIMIT = 200.0
#: Outcomes that a submission's process may report for itself.
_TOLD = ("error", "out-of-memory", "cheated")


class Shared:
    """Shared memory for three tensors per weight of a task: live, gradient and candidate."""

    def __init__(self, task: Task):
        weights = list(task.state)
        self.descriptor, self.layout, tensors = create(3 * weights)
        size = len(weights)
        self.live, self.gradients = tensors[:size], tensors[size : 2 * size]
        self.candidate = tensors[2 * size :]
        _move(task, self.live)


class Server:
    """Answers the calls of one submission. `serve` takes the task, like `train`."""

    def __init__(self, channel: Channel, shared: Shared):
        self._channel, self._shared = channel, shared
        self._held: dict[int, object] = {}
        self._ids = count()
        self._owes_answer = False
        self.learning_rates = None  # as the submission sent them, unchecked

    def begin(self, seconds: float) -> None:
        """Wait up to `seconds` until the process is ready, then until the submission is loaded.

        Loading may take `LOAD_LIMIT`. Raise Ended if either takes too long.
        """
        self._receive(time.monotonic() + seconds)
        try:
            # A timer, since half a message would block `receive` past its timeout.
            with time_limit(LOAD_LIMIT):
                self._receive(math.inf)
        except LimitReached:
            message = f"its file took longer than {LOAD_LIMIT:.0f} s to load"
            raise Ended(Outcome.ERROR, message) from None

    def serve(self, proxy: CountingTask) -> None:
        """Send the task and answer calls until train ends. Raise Ended unless train returned.

        Until then, the submission's process has received nothing about the task. After `Done`,
        every oracle raises it again, off the clock, for `WIND_UP` seconds.
        """
        self._send(
            {
                "layout": self._shared.layout,
                "default_batch_size": proxy.default_batch_size,
                "target_test_loss": float(proxy.target_test_loss),
            },
            descriptor=self._shared.descriptor,
        )
        over = math.inf
        while not (request := self._receive(over)).get("end"):
            try:
                answer, tensors = self._answer(proxy, request)
            except Done:
                over = min(over, time.monotonic() + WIND_UP)
                answer, tensors = {"done": True}, None
            except Ended:
                raise
            except Exception as problem:
                answer = {"raised": type(problem).__name__, "message": str(problem)}
                tensors = None
            self._send(answer, tensors)
        self.learning_rates = request.get("learning_rates")

    def wind_up(self) -> None:
        """Tell a submission that its time is over, and collect its learning rates."""
        over = time.monotonic() + WIND_UP
        try:
            if self._owes_answer:
                self._send({"limit": True})
            while not (request := self._receive(over)).get("end"):
                self._send({"limit": True})
            self.learning_rates = request.get("learning_rates")
        except Ended:
            return

    def _receive(self, until: float) -> dict:
        """Return the next message. Raise Ended if none comes before `until` (time.monotonic)."""
        try:
            message = self._channel.receive(until - time.monotonic())
        except EOFError:
            raise Ended(Outcome.ERROR, "") from None
        except TimeoutError:
            raise Ended(Outcome.TIMEOUT, "did not get ready or end in time") from None
        except Garbled:
            raise Ended(Outcome.ERROR, "sent a message that is none") from None
        if "cheat" in message:
            raise Ended(Outcome.CHEATED, clean(str(message["cheat"])))
        if message.get("end") == "raised":
            self.learning_rates = message.get("learning_rates")
            told = message.get("outcome")
            outcome = Outcome(told) if told in _TOLD else Outcome.ERROR
            raise Ended(outcome, clean(str(message.get("message")), 2 * LONGEST))
        self._owes_answer = True
        return message

    def _send(self, answer: dict, tensors: Any = None, descriptor: int | None = None) -> None:
        self._owes_answer = False
        try:
            self._channel.send(answer, tensors)
            if descriptor is not None:
                self._channel.send_descriptor(descriptor)
        except OSError:
            raise Ended(Outcome.ERROR, "") from None

    def _answer(self, proxy: CountingTask, request: dict) -> tuple[dict, object]:
        for identity in request.get("forget", ()):
            self._held.pop(identity, None)
        match request.get("call"):
            case "next":
                return self._next(request), None
            case "batch_loss_and_gradient":
                return self._gradient(proxy, self._batch(request)), None
            case "batch_loss":
                return _described(proxy.batch_loss(self._batch(request))), None
            case "test":
                return self._test(proxy, request), None
            case "epoch":
                return self._epoch(proxy, request), None
            case "iterate":
                return {"id": self._hold(iter(self._found(request, "epoch")))}, None
            case "look":
                batch = self._batch(request)
                return {"names": list(getattr(batch, "_fields", ()))}, tuple(batch)
        raise Ended(Outcome.ERROR, "sent a message that is none")

    def _epoch(self, proxy: CountingTask, request: dict) -> dict:
        epoch: Any = proxy.train_iterator(*request["arguments"], **request["keywords"])
        length = len(epoch) if hasattr(epoch, "__len__") else None
        return {"id": self._hold(epoch), "length": length}

    def _next(self, request: dict) -> dict:
        batch = next(self._found(request, "iterator"), None)
        return {} if batch is None else {"id": self._hold(batch)}

    def _gradient(self, proxy: CountingTask, batch: Any) -> dict:
        loss, gradients = proxy.batch_loss_and_gradient(batch)
        torch._foreach_copy_(self._shared.gradients, list(gradients))
        return _described(loss)

    def _test(self, proxy: CountingTask, request: dict) -> dict:
        if request["which"] == "none":
            return _described(proxy.test())
        is_live = request["which"] == "live"
        return _described(proxy.test(self._shared.live if is_live else self._shared.candidate))

    def _batch(self, request: dict) -> Any:
        if request["tensors"] is not None:
            return Batch(*request["tensors"])
        return self._found(request, "batch")

    def _found(self, request: dict, kind: str) -> Any:
        try:
            return self._held[request[kind]]
        except (KeyError, TypeError):
            raise Ended(Outcome.ERROR, f"used a {kind} that it does not hold") from None

    def _hold(self, thing: Any) -> int:
        identity = next(self._ids)
        self._held[identity] = thing
        return identity


def _described(loss: Any) -> dict:
    is_tensor = isinstance(loss, torch.Tensor)
    dtype = str(loss.dtype).removeprefix("torch.") if is_tensor else None
    return {"loss": float(loss), "dtype": dtype}


def _move(task: Any, live: list) -> None:
    """Move the task's weights into the tensors `live`, in its networks and its `state`."""
    for i, (weight, tensor) in enumerate(zip(task.state, live, strict=True)):
        owners = [
            parameter
            for module in modules(task)
            for parameter in module.parameters()
            if parameter.data_ptr() == weight.data_ptr() and parameter.shape == weight.shape
        ]
        if not owners and math.prod(weight.shape):
            raise ValueError(f"task.state[{i}] is no parameter of a network that the task holds")
        tensor.copy_(weight)
        for parameter in owners:
            parameter.data = tensor
        task.state[i] = tensor
