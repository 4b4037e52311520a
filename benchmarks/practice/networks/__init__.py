"""Six ordinary networks as one finds them in papers and tutorials."""

from collections.abc import Callable
from typing import NamedTuple

from benchmarks.networks.kind import Kind
from benchmarks.practice.networks import diffusion, gpt, gru, perceptron, resnet, vit


class Network(NamedTuple):
    """Its name in tables; `make(width)`, times the usual one; its usual steps."""

    name: str
    make: Callable[[int], Kind]
    steps: int


NETWORKS = {
    "gpt": Network("GPT, characters", gpt.make, 250),
    "vit": Network("ViT, Fashion-MNIST", vit.make, 200),
    "resnet": Network("ResNet-8 with batch norm, Fashion-MNIST", resnet.make, 250),
    "gru": Network("GRU, characters", gru.make, 250),
    "perceptron": Network("perceptron, table", perceptron.make, 2_000),
    "diffusion": Network("diffusion U-Net, digits", diffusion.make, 300),
}
