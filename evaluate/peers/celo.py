"""Celo with its authors' weights: a learned direction for each weight, a learned schedule for all.

Moudgil, Knyazev, Lajoie and Belilovsky, "Celo: Training Versatile Learned Optimizers on a Compute
Diet", TMLR 2025 (arXiv:2501.12670). A small network (evaluate.peers.celo_common) proposes each
weight's step in units of its tensor's root mean square; an LSTM that sees the losses so far and the
part of the horizon that is over sets the length of all.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from evaluate.peers.celo_common import (
    Learned,
    network_shapes,
    normalised,
    read_weights,
    share_of_horizon,
)
from evaluate.peers.common import Task, aliases, descend

_UNITS, _INPUTS, _MEANS = 64, 18, 10
_TIMES = torch.tensor([0.03, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0, 1.1])
_SHAPES = {
    **network_shapes(4, 1),
    "lstm_init_state.hidden": (1, _UNITS),
    "lstm_init_state.cell": (1, _UNITS),
    **{f"rnn_params.linear_{i}.w": (_INPUTS, _UNITS) for i in (1, 2)},
    **{f"rnn_params.linear_{i}.b": (_UNITS,) for i in (1, 2)},
    "rnn_params.rnn/linear.w": (2 * _UNITS, 4 * _UNITS),
    "rnn_params.rnn/linear.b": (4 * _UNITS,),
    "rnn_params.step_size.w": (_UNITS, 1),
    "rnn_params.step_size.b": (1,),
}
WEIGHTS = read_weights("celo", _SHAPES)
given: dict = {}


class Celo(Learned):
    """The learned rule with its learned schedule over so many `steps`."""

    square_decay, epsilon = 0.999, 1e-6

    def __init__(self, weights: Sequence[Tensor], arrays: dict[str, Tensor], steps: int):
        super().__init__(weights, arrays, lr=math.nan)
        self._schedule = Schedule(arrays, steps)

    def direction(self, weight: Tensor, features: Tensor) -> Tensor:
        """Return the network's direction in units of the tensor's root mean square."""
        axes = tuple(range(weight.dim()))
        direction, magnitude = self.network(normalised(features, axes, 1e-5))
        return direction * torch.exp(1e-3 * magnitude) * (weight.square().mean() + 1e-9).sqrt()

    def step(self, loss: Any) -> None:  # type: ignore[override]
        """Take a step; `loss` is the training loss that the gradients belong to."""
        self.param_groups[0]["lr"] = 1e-3 * self._schedule.next(float(loss))
        super().step()


class Schedule:
    """The LSTM. All tensors see the same inputs, so one row of it stands for all."""

    def __init__(self, arrays: dict[str, Tensor], steps: int):
        self._arrays, self._steps, self._done = arrays, steps, 0
        self._hidden, self._cell = (arrays[f"lstm_init_state.{x}"] for x in ("hidden", "cell"))
        self._decays = torch.exp(-1 / torch.logspace(1, math.log10(steps), _MEANS))
        self._means, self._least = torch.zeros(_MEANS), torch.full((_MEANS,), 1e12)

    def next(self, loss: float) -> float:
        """Take the loss of the next step in; return the multiplier of its length."""
        over = torch.tanh(10 * (self._done / self._steps - _TIMES))
        inputs = torch.cat([over, self._losses(loss)])[None]
        # The maximum over tensors, each of which has these inputs, is that of one.
        mixed = self._linear("linear_2", inputs) + self._linear("linear_1", inputs).relu()
        gates = self._linear("rnn/linear", torch.cat([mixed, self._hidden], dim=1))
        write, value, keep, show = gates.chunk(4, dim=1)
        self._cell = (keep + 1).sigmoid() * self._cell + write.sigmoid() * value.tanh()
        self._hidden = show.sigmoid() * self._cell.tanh()
        return 0.1 * math.exp(float(self._linear("step_size", self._hidden)))

    def _losses(self, loss: float) -> Tensor:
        """Where each running mean of the loss stands between its least and the next slower mean."""
        self._done += 1
        bias = 1 - self._decays**self._done
        if self._done > 1:  # a loss that explodes counts no more than twice the largest mean
            loss = min(2 * abs(float((self._means / bias).max())), loss)
        self._means.lerp_(torch.tensor(loss), 1 - self._decays)
        means = self._means / bias
        self._least = torch.minimum(self._least, means)
        if self._done <= 2:
            return torch.zeros(_MEANS - 1)
        reach = (means[1:] - self._least[:-1]).clamp(min=1e-8)
        return ((means - self._least)[:-1] / reach - 1).clamp(-1, 1)

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self._arrays[f"rnn_params.{name}.w"] + self._arrays[f"rnn_params.{name}.b"]


def train(task: Task) -> None:
    """Train until `Done`, or to the end of the schedule."""
    steps = share_of_horizon(given)
    weights = aliases(task)
    optimizer = Celo(weights, WEIGHTS, steps)
    descend(task, weights, optimizer, given=given, step=optimizer.step, steps=steps)
