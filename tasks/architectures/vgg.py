"""Convolutions, max-pooling and a dense head (Simonyan & Zisserman, arXiv:1409.1556)."""

from torch import Tensor, nn

from tasks.data.formats import Shape
from tasks.layers import Activation, Conv2d, Dropout, Norm, halvings, make_activation, norm2d


class VGG(nn.Module):
    """Images [N, C, H, W] -> logits. Each stage has `depth` convolutions and halves the image.

    The width doubles with each stage, up to eightfold. The head has one hidden layer of `head`
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
        self.stages = nn.Sequential()
        for stage in range(stages):
            after = width * min(2**stage, 8)
            layers = []
            for _ in range(depth):
                convolution = Conv2d(channels, after, 3, padding=1)
                layers += [convolution, norm2d(norm, after), make_activation(activation)]
                channels = after
            self.stages.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
        pooled = channels * (height >> stages) * (columns >> stages)
        self.head = nn.Sequential(
            nn.Linear(pooled, head),
            make_activation(activation),
            Dropout(dropout),
            nn.Linear(head, shape.classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(x).flatten(1))
