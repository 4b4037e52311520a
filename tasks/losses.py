"""Losses by name, one value per example or token. Single and batched tasks average them.

Leading axes are free: outputs are [..., outputs], or [..., C, H, W] for reconstructions.
"""

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

Loss = Literal["cross_entropy", "squared", "reconstruction"]


def cross_entropy(output: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy in nats: logits [..., classes], y int64 [...] -> [...]."""
    flat = F.cross_entropy(output.flatten(0, -2), y.flatten(), reduction="none")
    return flat.view(y.shape)


def squared(output: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error to one-hot labels (Hui & Belkin, arXiv:2006.07322)."""
    wanted = F.one_hot(y, output.shape[-1]).to(output.dtype)
    return (output - wanted).square().mean(-1)


def reconstruction(output: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the mean squared error to the input, over channels and pixels."""
    return (output - x).square().flatten(-3).mean(-1)


LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "squared": squared,
    "reconstruction": reconstruction,
}
