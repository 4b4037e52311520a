"""A residual network with batch norm, of the CIFAR kind (He et al. 2016), one block a stage."""

from torch import Tensor, nn
from torch.nn import functional

from benchmarks.networks.data import classification, fashion
from benchmarks.networks.kind import Kind

WIDTH = 16


class Residual(nn.Module):
    """Two convolutions beside the identity, or a 1 x 1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first, self.second = _filters(inputs, outputs, stride), _filters(outputs, outputs)
        self.across: nn.Module = nn.Identity()
        if stride > 1:
            one = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.across = nn.Sequential(one, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.second(functional.relu(self.first(x)))
        return functional.relu(inner + self.across(x))


def _filters(inputs, outputs, stride=1):
    convolution = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


def make(width: int) -> Kind:
    """Return the network on all images, 64 a batch; 1,000 are tested."""
    width *= WIDTH
    first, head = _filters(1, width), nn.Linear(4 * width, 10)
    stages = (
        Residual(width, width, 1),
        Residual(width, 2 * width, 2),
        Residual(2 * width, 4 * width, 2),
    )
    model = nn.Sequential(first, nn.ReLU(), *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    train, test = fashion(60_000, 1_000)
    outer = [first[0].weight, head.weight]
    return Kind(model, train, test, classification, batch_size=64, test_batch=250, outer=outer)
