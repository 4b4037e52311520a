"""A plain convolutional network, with or without normalisation."""

from torch import Tensor, nn

from tasks.data.formats import Shape
from tasks.layers import Activation, Conv2d, Norm, make_activation, norm2d


class CNN(nn.Module):
    """`depth` 3 x 3 convolutions. All but the first halve the image and double the channels.

    Images [N, C, H, W] -> logits [N, classes], from the mean of the last map over pixels.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        width: int = 8,
        depth: int = 2,
        norm: Norm = "none",
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.blocks, before = nn.Sequential(), shape.input[0]
        for level in range(depth):
            after, stride = width * 2**level, 1 if level == 0 else 2
            convolution = Conv2d(before, after, 3, stride=stride, padding=1)
            block = nn.Sequential(convolution, norm2d(norm, after), make_activation(activation))
            self.blocks.append(block)
            before = after
        self.head = nn.Linear(before, shape.classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(x).mean((-2, -1)))
