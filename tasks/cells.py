"""Recurrent layers with torch's names, weights and equations that also run under `vmap`.

Torch's own layers have no vmap rule. So a batched layer loops over time, starts from a zero state
and returns no state.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.layers import dropout, is_batched

_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


class Unrolled(nn.RNNBase):
    """A mixin for torch's recurrent layers that loops over `_step` when batched.

    Batch first. Terms without the previous output are computed once for all time steps.
    """

    parts: int  # number of state tensors
    weight_hh_l0: Tensor
    _step: Callable

    def forward(self, x: Tensor, hidden: Any = None) -> Any:
        if not is_batched(self.weight_hh_l0):
            return super().forward(x, hidden)
        for layer in range(self.num_layers):
            x = dropout(x, self.dropout, self.training and layer > 0)
            x = self._unrolled(x, *(getattr(self, f"{name}_l{layer}") for name in _WEIGHTS))
        return x, None

    def _unrolled(
        self, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
    ) -> Tensor:
        state = (x.new_zeros(x.shape[0], self.hidden_size),) * self.parts
        early, late = self._biases(b_ih, b_hh)
        outputs = []
        for projected in F.linear(x, w_ih, early).unbind(1):
            state = self._step(projected, F.linear(state[0], w_hh, late), state)
            outputs.append(state[0])
        return torch.stack(outputs, 1)

    @staticmethod
    def _biases(b_ih: Tensor, b_hh: Tensor) -> tuple:
        """Return the biases of the input's and the previous output's projection."""
        return b_ih + b_hh, None


class LSTM(Unrolled, nn.LSTM):  # type: ignore[misc]
    """State: output and cell (Hochreiter & Schmidhuber 1997, with forget gates)."""

    parts = 2

    @staticmethod
    def _step(projected: Tensor, recurrent: Tensor, state: tuple) -> tuple:
        i, f, g, o = (projected + recurrent).chunk(4, -1)
        cell = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
        return o.sigmoid() * cell.tanh(), cell


class GRU(Unrolled, nn.GRU):  # type: ignore[misc]
    """State: output (Cho et al., arXiv:1406.1078; reset gate after the product, as in torch)."""

    parts = 1

    @staticmethod
    def _biases(b_ih: Tensor, b_hh: Tensor) -> tuple:
        return b_ih, b_hh

    @staticmethod
    def _step(projected: Tensor, recurrent: Tensor, state: tuple) -> tuple:
        (r, z, n), (hr, hz, hn) = projected.chunk(3, -1), recurrent.chunk(3, -1)
        candidate = (n + (r + hr).sigmoid() * hn).tanh()
        return (torch.lerp(candidate, state[0], (z + hz).sigmoid()),)


class RNN(Unrolled, nn.RNN):  # type: ignore[misc]
    """State: output of tanh units (Elman 1990)."""

    parts = 1

    @staticmethod
    def _step(projected: Tensor, recurrent: Tensor, state: tuple) -> tuple:
        return ((projected + recurrent).tanh(),)
