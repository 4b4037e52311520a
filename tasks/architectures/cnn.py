"""Plain convolutional network, with or without normalisation."""

from torch import Tensor, nn

from tasks.data.formats import Shape
from tasks.layers import Activation, Conv2d, Norm, norm2d
from tasks.layers import activation as make_activation


class CNN(nn.Module):
    """`depth` 3 x 3 convolutions; each but the first halves the image and doubles the channels.

    Images [N, C, H, W] -> logits [N, classes], from the mean over the last map's pixels.
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
        channels = [shape.input[0], *(width * 2**level for level in range(depth))]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                Conv2d(before, after, 3, stride=1 if level == 0 else 2, padding=1),
                norm2d(norm, after),
                make_activation(activation),
            )
            for level, (before, after) in enumerate(zip(channels, channels[1:], strict=False))
        )
        self.head = nn.Linear(channels[-1], shape.classes)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((-2, -1)))
