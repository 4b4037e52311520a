"""A perceptron that predicts numbers from numbers, as for tables and in physics."""

import math

import torch
from torch import Tensor, nn

from tasks.data.formats import Shape
from tasks.layers import Activation, make_activation


class Regressor(nn.Module):
    """`depth` hidden layers of `width` units that predict the last numbers of a row from the first.

    Rows [N, 1, 1, inputs + outputs] -> the same rows with predicted outputs, so the loss is that of
    a reconstruction. `shape.classes` is the number of outputs. With depth 0 it is linear
    regression.
    """

    reconstructs = True
    least = {"depth": 0}

    def __init__(
        self, shape: Shape, *, width: int = 64, depth: int = 3, activation: Activation = "gelu"
    ) -> None:
        super().__init__()
        self.outputs = shape.classes
        widths = [math.prod(shape.input) - self.outputs, *[width] * depth, self.outputs]
        self.layers = nn.ModuleList(map(nn.Linear, widths[:-1], widths[1:]))
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        given = predicted = x.flatten(1)[:, : -self.outputs]
        *inner, last = self.layers
        for layer in inner:
            predicted = self.activation(layer(predicted))
        return torch.cat([given, last(predicted)], 1).view(x.shape)
