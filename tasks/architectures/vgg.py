"""Convolutions, max-pooling and a dense head (Simonyan & Zisserman, arXiv:1409.1556)."""

import torch.nn.functional as F
from torch import Tensor, nn

from tasks.data.formats import Shape
from tasks.layers import Activation, Conv2d, Dropout, Norm, halvings, norm2d
from tasks.layers import activation as make_activation


class VGG(nn.Module):
    """Images [N, C, H, W] -> logits, by `stages` of `depth` convolutions, each pooled to a half.

    The width doubles from stage to stage, up to eightfold; the head has one hidden layer of `head`
    units with dropout.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        width: int = 16,
        stages: int = 2,
        depth: int = 2,
        head: int = 64,
        norm: Norm = "none",
        dropout: float = 0.0,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        channels, height, columns = shape.input
        halvings(shape.input, stages)
        self.stages = nn.ModuleList()
        for stage in range(stages):
            after = width * min(2**stage, 8)
            self.stages.append(_stage(channels, after, depth, norm, activation))
            channels = after
        pooled = channels * (height >> stages) * (columns >> stages)
        self.head = nn.Sequential(
            nn.Linear(pooled, head),
            make_activation(activation),
            Dropout(dropout),
            nn.Linear(head, shape.classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = F.max_pool2d(stage(x), 2)
        return self.head(x.flatten(1))


def _stage(before: int, after: int, depth: int, norm: Norm, activation: Activation) -> nn.Module:
    layers = []
    for level in range(depth):
        channels = before if level == 0 else after
        layers += [
            Conv2d(channels, after, 3, padding=1),
            norm2d(norm, after),
            make_activation(activation),
        ]
    return nn.Sequential(*layers)
