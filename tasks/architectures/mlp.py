"""A multi-layer perceptron on flattened images."""

from torch import Tensor, nn

from tasks.data.formats import Shape
from tasks.layers import Activation, make_activation


class MLP(nn.Module):
    """`depth` hidden layers of `width` units: images [N, C, H, W] -> logits [N, classes].

    With depth 0 it is softmax regression.
    """

    least = {"depth": 0}

    def __init__(
        self, shape: Shape, *, width: int = 32, depth: int = 2, activation: Activation = "relu"
    ) -> None:
        super().__init__()
        channels, height, columns = shape.input
        widths = [channels * height * columns, *[width] * depth]
        self.hidden = nn.ModuleList(map(nn.Linear, widths[:-1], widths[1:]))
        self.activation = make_activation(activation)
        self.head = nn.Linear(widths[-1], shape.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for layer in self.hidden:
            x = self.activation(layer(x))
        return self.head(x)
