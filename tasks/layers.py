"""Layers for one model and, under `torch.func.vmap`, for a batch of models.

On ordinary tensors each layer behaves like its torch namesake. If its weight has a vmapped axis, it
avoids running statistics, in-place updates and operations that vmap would loop over.
"""

from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.keyed import keyed_normal
from tasks.options import VariantError

Activation = Literal["relu", "tanh", "gelu", "silu"]
Norm = Literal["none", "batch", "group"]


def is_batched(tensor: Tensor) -> bool:
    """Return whether `vmap` is mapping over an axis of this tensor."""
    return torch._C._functorch.is_batchedtensor(tensor)


def make_activation(name: Activation) -> nn.Module:
    return {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU, "silu": nn.SiLU}[name]()


def feed_forward(width: int, activation: Activation) -> nn.Module:
    """Return two linear layers with twice as many units between them."""
    return nn.Sequential(
        nn.Linear(width, 2 * width), make_activation(activation), nn.Linear(2 * width, width)
    )


class Dropout(nn.Dropout):
    """The function `dropout` as a layer."""

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.p, self.training)


def dropout(x: Tensor, share: float, training: bool) -> Tensor:
    """Apply `F.dropout` (Srivastava et al. 2014). When batched, `x` determines what is dropped.

    The state of a generator would have to be in checkpoints, and equal in all processes.
    """
    if not (training and share and is_batched(x)):
        return F.dropout(x, share, training)
    numbers = keyed_normal(x.detach().sum().view(1), x.numel())
    return x.masked_fill(numbers.view(x.shape) < NormalDist().inv_cdf(share), 0.0) / (1 - share)


def norm2d(name: Norm, channels: int) -> nn.Module:
    """Return a normalisation of [N, channels, H, W]; "group" has groups of 4 channels, or one."""
    if name == "batch":
        return BatchNorm2d(channels)
    if name == "group":
        return GroupNorm(channels // 4 if channels % 4 == 0 else 1, channels)
    return nn.Identity()


class BatchNorm2d(nn.BatchNorm2d):
    """A batch norm that, when batched, uses batch statistics and no running buffers."""

    def forward(self, x: Tensor) -> Tensor:
        if not is_batched(self.weight):
            return super().forward(x)
        return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)


class GroupNorm(nn.GroupNorm):
    """A group norm that uses `F.layer_norm` when batched: torch's kernel needs a memory format
    that `vmap` can't determine for some inputs."""

    def forward(self, x: Tensor) -> Tensor:
        if not is_batched(self.weight):
            return super().forward(x)
        grouped = x.unflatten(1, (self.num_groups, -1)).flatten(2)
        normal = F.layer_norm(grouped, grouped.shape[-1:], eps=self.eps).view(x.shape)
        return normal * self.weight[:, None, None] + self.bias[:, None, None]


class Conv2d(nn.Conv2d):
    """A square, zero-padded convolution.

    A vmapped conv2d is a grouped convolution. That is fastest on a CPU (measured: a third of
    the time of slices for 8 to 16 channels on 8 x 8 pixels), but CUDA is slow with many groups.
    """

    def forward(self, x: Tensor) -> Tensor:
        if is_batched(self.weight) and self.weight.is_cuda:
            return conv2d_by_slices(x, self.weight, self.bias, self.stride[0], self.padding[0])  # type: ignore[arg-type]
        return super().forward(x)


def conv2d_by_slices(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int
) -> Tensor:
    """Return `F.conv2d`, computed as one matrix product over shifted slices of the input.

    x [N, C, H, W], weight [O, C, k, k] -> [N, O, H', W'], a view with channels first in memory.
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


def upsample(x: Tensor) -> Tensor:
    """Repeat each pixel of [N, C, H, W] four times: [N, C, 2H, 2W]."""
    n, c, h, w = x.shape
    return x[:, :, :, None, :, None].expand(n, c, h, 2, w, 2).reshape(n, c, 2 * h, 2 * w)


class PatchEmbedding(nn.Module):
    """Images [N, C, H, W] -> [N, tokens, width] (Dosovitskiy et al., arXiv:2010.11929, eq. 1).

    A patch is a square of `size` pixels, or a strip if the image is lower. Raises VariantError if
    patches do not tile the image.
    """

    def __init__(self, image: Sequence[int], size: int, width: int) -> None:
        super().__init__()
        channels, rows, columns = image
        self.high, self.wide = min(size, rows), min(size, columns)
        if rows % self.high or columns % self.wide:
            raise VariantError(f"patch {size} must divide the image of {rows} x {columns} pixels")
        self.tokens = (rows // self.high) * (columns // self.wide)
        self.linear = nn.Linear(channels * self.high * self.wide, width)

    def forward(self, x: Tensor) -> Tensor:
        grid = x.unflatten(3, (-1, self.wide)).unflatten(2, (-1, self.high))
        return self.linear(grid.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2))


def halvings(image: Sequence[int], count: int) -> None:
    """Raise VariantError unless both sides of an image [C, H, W] can be halved `count` times."""
    if any(side % 2**count for side in image[1:]):
        raise VariantError(f"an image of {image[1]} x {image[2]} pixels has no {count} halvings")
