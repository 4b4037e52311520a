"""Autoencoders (Hinton & Salakhutdinov 2006). The loss compares the output with the input."""

import math
from itertools import pairwise

from torch import Tensor, nn

from tasks.data.formats import Shape
from tasks.layers import Activation, Conv2d, halvings, make_activation, upsample


class Autoencoder(nn.Module):
    """A perceptron: `depth` layers of `width` units, `code` numbers, then the mirror image.

    Images [N, C, H, W] -> images of the same shape.
    """

    reconstructs = True

    def __init__(
        self,
        shape: Shape,
        *,
        width: int = 32,
        depth: int = 1,
        code: int = 8,
        activation: Activation = "tanh",
    ) -> None:
        super().__init__()
        self.shape = shape.input
        down = [math.prod(shape.input), *[width] * depth, code]
        self.down = nn.ModuleList(map(nn.Linear, down[:-1], down[1:]))
        up = down[::-1]
        self.up = nn.ModuleList(map(nn.Linear, up[:-1], up[1:]))
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        x = self._through(self.down, x.flatten(1))
        return self._through(self.up, x).unflatten(1, self.shape)

    def _through(self, layers: nn.ModuleList, x: Tensor) -> Tensor:
        *inner, last = layers
        for layer in inner:
            x = self.activation(layer(x))
        return last(x)


class ConvAutoencoder(nn.Module):
    """`depth` convolutions of stride 2 to `code` channels, then `depth` upsampled ones back.

    Images [N, C, H, W] -> images of the same shape.
    """

    reconstructs = True

    def __init__(
        self,
        shape: Shape,
        *,
        width: int = 16,
        depth: int = 2,
        code: int = 8,
        activation: Activation = "gelu",
    ) -> None:
        super().__init__()
        channels = shape.input[0]
        halvings(shape.input, depth)
        down = [channels, *[width] * (depth - 1), code]
        self.down = nn.ModuleList(Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(down))
        up = [code, *[width] * depth]
        self.up = nn.ModuleList(Conv2d(a, b, 3, padding=1) for a, b in pairwise(up))
        self.last = Conv2d(width, channels, 3, padding=1)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.down:
            x = self.activation(layer(x))
        for layer in self.up:
            x = self.activation(layer(upsample(x)))
        return self.last(x)
