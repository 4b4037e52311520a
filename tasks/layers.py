"""Layers that work on one model and, under `torch.func.vmap`, on a batch of models.

Each behaves as its torch namesake on ordinary tensors. When its weight carries a vmapped axis it
takes a path without running statistics, in-place updates or operations that vmap would loop over.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["relu", "tanh", "gelu", "silu"]
Norm = Literal["none", "batch", "group"]


def is_batched(tensor: Tensor) -> bool:
    """Whether `vmap` is mapping over an axis of this tensor."""
    return torch._C._functorch.is_batchedtensor(tensor)


def activation(name: Activation) -> nn.Module:
    return {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU}[name]()


def norm2d(name: Norm, channels: int) -> nn.Module:
    """A normalisation of [N, channels, H, W]; groups of 4 channels, or fewer if they do not fit."""
    if name == "batch":
        return BatchNorm2d(channels)
    if name == "group":
        return nn.GroupNorm(channels // 4 if channels % 4 == 0 else 1, channels)
    return nn.Identity()


class BatchNorm2d(nn.BatchNorm2d):
    """Batch statistics and no running buffers when batched."""

    def forward(self, x: Tensor) -> Tensor:
        if not is_batched(self.weight):
            return super().forward(x)
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)


class Conv2d(nn.Conv2d):
    """Square, zero-padded convolution.

    A vmapped conv2d is a grouped convolution: on a CPU that is the fastest way (measured: 3x less
    than slices for 8 to 16 channels on 8 x 8 pixels), on CUDA many groups are slow.
    """

    def forward(self, x: Tensor) -> Tensor:
        if is_batched(self.weight) and self.weight.is_cuda:
            return conv2d_by_slices(x, self.weight, self.bias, self.stride[0], self.padding[0])
        return super().forward(x)


def conv2d_by_slices(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
) -> Tensor:
    """`F.conv2d` as one matrix product over shifted slices of the input.

    x [N, C, H, W], weight [O, C, k, k] -> [N, O, H', W'] (a view: channels lead in memory).
    """
    size = weight.shape[-1]
    x = F.pad(x, (padding,) * 4).transpose(0, 1)
    rows, columns = ((n - size) // stride + 1 for n in x.shape[-2:])
    high, wide = stride * (rows - 1) + 1, stride * (columns - 1) + 1
    slices = [
        x[..., i : i + high : stride, j : j + wide : stride]
        for i in range(size)
        for j in range(size)
    ]
    patches = torch.stack(slices, 1).flatten(0, 1)
    out = weight.flatten(1) @ patches.flatten(1)
    if bias is not None:
        out = out + bias.unsqueeze(-1)
    return out.unflatten(1, patches.shape[1:]).transpose(0, 1)


class LSTM(nn.LSTM):
    """Batch-first LSTM; a loop over time when batched, because `nn.LSTM` has no vmap rule.

    Batched it starts from a zero state and returns none.
    """

    def forward(self, x: Tensor, hidden=None):
        if not is_batched(self.weight_hh_l0):
            return super().forward(x, hidden)
        for layer in range(self.num_layers):
            x = F.dropout(x, self.dropout, self.training and layer > 0)
            x = self._unrolled(x, *(getattr(self, f"{name}_l{layer}") for name in _LSTM_WEIGHTS))
        return x, None

    def _unrolled(
        self, x: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor
    ) -> Tensor:
        """Equations of `nn.LSTM`; the input's projection is one product for all time steps."""
        h = c = x.new_zeros(x.shape[0], self.hidden_size)
        recurrent = w_hh.t()
        outputs = []
        for projected in F.linear(x, w_ih, b_ih + b_hh).unbind(1):
            i, f, g, o = torch.addmm(projected, h, recurrent).chunk(4, -1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            outputs.append(h)
        return torch.stack(outputs, 1)


_LSTM_WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
