"""Perceptrons with layer normalisation and residual connections, on flattened images."""

from typing import Literal

from torch import Tensor, nn

from tasks.data.formats import Shape
from tasks.layers import Activation, make_activation


class ResidualMLP(nn.Module):
    """A linear stem, `depth` blocks of two layers, a linear head: [N, C, H, W] -> [N, classes].

    norm: normalisation before each block. skip: whether blocks have residual connections.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        width: int = 32,
        depth: int = 2,
        norm: Literal["none", "layer"] = "layer",
        skip: bool = True,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        channels, height, columns = shape.input
        self.skip = skip
        self.stem = nn.Linear(channels * height * columns, width)
        self.blocks = nn.ModuleList(_block(width, norm, activation) for _ in range(depth))
        self.head = nn.Linear(width, shape.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x.flatten(1))
        for block in self.blocks:
            x = x + block(x) if self.skip else block(x)
        return self.head(x)


def _block(width: int, norm: str, activation: Activation) -> nn.Module:
    return nn.Sequential(
        nn.LayerNorm(width) if norm == "layer" else nn.Identity(),
        nn.Linear(width, width),
        make_activation(activation),
        nn.Linear(width, width),
    )
