"""Layers that several kinds share."""

from torch import nn


def perceptron(*sides: int, activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers from side to side, the activation between them and not behind the last."""
    layers = []
    for inputs, outputs in zip(sides, sides[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])
