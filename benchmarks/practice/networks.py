"""Six ordinary networks from papers and tutorials; `width` is a multiple of the usual one."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from sklearn.datasets import make_friedman1
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.networks import kind
from benchmarks.networks.data import (
    SYMBOLS,
    characters,
    classification,
    divided,
    fashion,
    squared_error,
)
from benchmarks.networks.kind import Kind
from tasks.data import load

CONTEXT, TEXT = 64, 400_000  # characters per window, and for training
TESTED = 250  # examples per test batch
DEPTH, HEADS = 4, 4  # of the transformers


class Block(nn.Module):
    """Attention and a perceptron, each with a layer norm and a residual connection."""

    def __init__(self, width: int, is_causal: bool = True) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])
        self.mixed, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.is_causal = is_causal

    def forward(self, x: Tensor) -> Tensor:
        count, length, width = x.shape
        parts = self.mixed(self.norms[0](x)).view(count, length, 3, HEADS, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(query, key, value, is_causal=self.is_causal)
        x = x + self.out(found.transpose(1, 2).reshape(count, length, width))
        return x + self.down(functional.gelu(self.up(self.norms[1](x))))


class GPT(nn.Module):
    """Blocks between an embedding and its transpose."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, width)
        self.position = nn.Parameter(0.02 * torch.randn(CONTEXT, width))
        self.blocks = nn.Sequential(*[Block(width) for _ in range(DEPTH)], nn.LayerNorm(width))
        self.apply(_initialise)
        blocks: Any = self.blocks[:-1]
        for block in blocks:
            for last in (block.out, block.down):
                nn.init.normal_(last.weight, std=0.02 / math.sqrt(2 * DEPTH))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.embedding(x) + self.position) @ self.embedding.weight.T


def _initialise(module):
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def gpt(width: int) -> Kind:
    """Return a GPT on English characters, with GPT-2's initial weights (Radford et al. 2019)."""
    model, data = GPT(128 * width), characters(CONTEXT, train=TEXT)
    outer = [model.embedding.weight, model.position]
    return Kind(model, *data, classification, 16, TESTED, outer)


class ViT(nn.Module):
    """Blocks on patches and a class token."""

    def __init__(self, width: int, patch: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, patch, patch)
        self.token = nn.Parameter(1e-6 * torch.randn(1, 1, width))
        self.position = nn.Parameter(torch.empty((28 // patch) ** 2 + 1, width))
        blocks = [Block(width, is_causal=False) for _ in range(DEPTH)]
        self.blocks = nn.Sequential(*blocks, nn.LayerNorm(width))
        self.head = nn.Linear(width, 10)
        nn.init.trunc_normal_(self.position, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), patches], 1)
        return self.head(self.blocks(tokens + self.position)[:, 0])


def vit(width: int) -> Kind:
    """Return a vision transformer with timm's initial weights (Dosovitskiy et al. 2021)."""
    model, data = ViT(64 * width), fashion(60_000, 1_000)
    outer = [model.patches.weight, model.token, model.position, model.head.weight]
    return Kind(model, *data, classification, 64, TESTED, outer)


class Residual(nn.Module):
    """Two convolutions beside the identity, or beside a 1 x 1 convolution if the shape changes."""

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


def resnet(width: int) -> Kind:
    """Return a CIFAR-style ResNet with batch norm, one block per stage (He et al. 2016)."""
    width *= 16
    first, head = _filters(1, width), nn.Linear(4 * width, 10)
    sides = (width, width, 1), (width, 2 * width, 2), (2 * width, 4 * width, 2)
    stages = [Residual(*side) for side in sides]
    model = nn.Sequential(first, nn.ReLU(), *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    outer = [first[0].weight, head.weight]
    return Kind(model, *fashion(60_000, 1_000), classification, 64, TESTED, outer)


class GRU(nn.Module):
    """An embedding, recurrent layers with dropout in between, and a head."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, width)
        self.recurrent = nn.GRU(width, width, 2, batch_first=True, dropout=0.1)
        self.head = nn.Linear(width, SYMBOLS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.recurrent(self.embedding(x))[0])


def gru(width: int) -> Kind:
    """Return a language model as in PyTorch's tutorials, with torch's initial weights."""
    model, data = GRU(192 * width), characters(CONTEXT, train=TEXT)
    outer = [model.embedding.weight, model.head.weight]
    return Kind(model, *data, classification, 16, TESTED, outer)


def perceptron(width: int) -> Kind:
    """Return a perceptron of three hidden layers on a table.

    The target is Friedman's first function (1991) of five of the twenty columns, with a little
    noise. All columns are standardised.
    """
    x, y = make_friedman1(43_000, 20, noise=0.3, random_state=0)
    columns = [torch.tensor(part, dtype=torch.float32) for part in (x, y[:, None])]
    data = divided(tuple((c - c.mean(0)) / c.std(0) for c in columns), 3_000)
    model = kind.perceptron(20, *3 * [256 * width], 1)
    outer = [model[0].weight, model[-1].weight]
    return Kind(model, *data, squared_error, 256, TESTED, outer)


class Layer(nn.Module):
    """Two convolutions with a residual connection; the time shifts channels in between.

    The second convolution starts at zero.
    """

    def __init__(self, inputs: int, outputs: int, times: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.GroupNorm(8, n) for n in (inputs, outputs)])
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(times, outputs)
        self.across = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        inner = self.first(functional.silu(self.norms[0](x))) + self.time(time)[..., None, None]
        return self.across(x) + self.second(functional.silu(self.norms[1](inner)))


class UNet(nn.Module):
    """A U-Net at 8 x 8 and 4 x 4 pixels, with one skip connection each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        times = 4 * width
        self.width = width
        self.time = nn.Sequential(
            nn.Linear(width, times), nn.SiLU(), nn.Linear(times, times), nn.SiLU()
        )
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.down = nn.ModuleList([Layer(width, width, times), Layer(width, 2 * width, times)])
        self.middle = Layer(2 * width, 2 * width, times)
        self.up = nn.ModuleList([Layer(4 * width, width, times), Layer(2 * width, width, times)])
        self.norm, self.last = nn.GroupNorm(8, width), nn.Conv2d(width, 1, 3, padding=1)
        nn.init.zeros_(self.last.weight)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        time = self.time(_waves(time, self.width))
        fine = self.down[0](self.first(x), time)
        coarse = self.down[1](functional.avg_pool2d(fine, 2), time)
        coarse = self.up[0](torch.cat([self.middle(coarse, time), coarse], 1), time)
        wide = torch.cat([functional.interpolate(coarse, scale_factor=2), fine], 1)
        return self.last(functional.silu(self.norm(self.up[1](wide, time))))


def _waves(time, width):
    """Return sines and cosines of the time, `[n, width]`, at frequencies up to a thousand."""
    angles = time[:, None] * torch.logspace(0, 3, width // 2)
    return torch.cat([angles.sin(), angles.cos()], 1)


def _noise_error(model, images):
    """Return the squared error of the predicted noise, at a random time of a cosine schedule.

    The schedule is that of Nichol 2021.
    """
    time, noise = torch.rand(len(images)), torch.randn_like(images)
    angle = 0.5 * math.pi * time[:, None, None, None]
    return functional.mse_loss(model(angle.cos() * images + angle.sin() * noise, time), noise)


def diffusion(width: int) -> Kind:
    """Return a small diffusion model of digits: a U-Net that predicts the noise (Ho et al. 2020).

    Each test image is tested at four times, with four noises.
    """
    data, model = load("digits", {"test": 297}, None), UNet(32 * width)
    test = data.test_x.repeat(4, 1, 1, 1)
    outer = [model.first.weight, model.last.weight]
    return Kind(model, (data.train_x,), (test,), _noise_error, 64, TESTED, outer)


class Network(NamedTuple):
    """A network: its name in tables, `make(width)`, and its usual number of steps."""

    name: str
    make: Callable[[int], Kind]
    steps: int


NETWORKS = {
    "gpt": Network("GPT, characters", gpt, 250),
    "vit": Network("ViT, Fashion-MNIST", vit, 200),
    "resnet": Network("ResNet-8 with batch norm, Fashion-MNIST", resnet, 250),
    "gru": Network("GRU, characters", gru, 250),
    "perceptron": Network("perceptron, table", perceptron, 2_000),
    "diffusion": Network("diffusion U-Net, digits", diffusion, 300),
}
