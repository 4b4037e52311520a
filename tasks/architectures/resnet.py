"""A residual convolutional network with basic blocks (He et al., arXiv:1512.03385)."""

from typing import Literal

from torch import Tensor, nn

from tasks.data.formats import Shape
from tasks.layers import Activation, Conv2d, Norm, make_activation, norm2d


class ResNet(nn.Module):
    """Images [N, C, H, W] -> logits. Stages after the first halve the image and double the width.

    Width 64, 4 stages, depth 2 and batch norm give ResNet-18 for small images: 11,173,962 weights
    with 3 channels and 10 classes.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        width: int = 16,
        stages: int = 3,
        depth: int = 1,
        norm: Literal["batch", "group"] = "batch",
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            Conv2d(shape.input[0], width, 3, padding=1, bias=False),
            norm2d(norm, width),
            make_activation(activation),
        )
        self.blocks, before = nn.Sequential(), width
        for stage in range(stages):
            after = width * 2**stage
            for block in range(depth):
                stride = 2 if block == 0 and stage > 0 else 1
                self.blocks.append(Block(before, after, stride, norm, activation))
                before = after
        self.head = nn.Linear(before, shape.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        return self.head(x.mean((-2, -1)))


class Block(nn.Module):
    """Two 3 x 3 convolutions. If the shape changes, the shortcut is a 1 x 1 convolution."""

    def __init__(
        self, before: int, after: int, stride: int, norm: Norm, activation: Activation
    ) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            Conv2d(before, after, 3, stride=stride, padding=1, bias=False),
            norm2d(norm, after),
            make_activation(activation),
            Conv2d(after, after, 3, padding=1, bias=False),
            norm2d(norm, after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or before != after:
            self.shortcut = nn.Sequential(
                Conv2d(before, after, 1, stride=stride, bias=False), norm2d(norm, after)
            )
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.residual(x) + self.shortcut(x))
