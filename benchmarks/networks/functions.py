"""Functions of few variables: coordinates, differential equations, tables."""

import math
from typing import Any

import torch
from torch import nn

from benchmarks.networks.data import classification, divided, fashion, generator, squared_error
from benchmarks.networks.kind import Kind, perceptron


class _Sine(nn.Module):
    def __init__(self, inputs, outputs, bound):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, x):
        return torch.sin(30 * self.linear(x))


def sines() -> Kind:
    """Return a picture as a function of its coordinates (Sitzmann et al. 2020, SIREN).

    Its sine layers have small weights.
    """
    (images, _), _ = fashion(16, 1)
    picture = images.view(4, 4, 28, 28).permute(0, 2, 1, 3).reshape(-1, 1)
    line = torch.linspace(-1, 1, 112)
    places = torch.cartesian_prod(line, line)
    order = torch.randperm(len(places), generator=generator(0))
    inner = [_Sine(64, 64, math.sqrt(6 / 64) / 30) for _ in range(2)]
    model = nn.Sequential(_Sine(2, 64, 0.5), *inner, nn.Linear(64, 1))
    parts = divided((places[order], picture[order]), 1_500)
    return Kind(model, *parts, squared_error, batch_size=256)


def differential_equation() -> Kind:
    """Return Poisson's equation on an interval, solved by its residual (Raissi et al. 2019).

    The gradient goes through second derivatives.
    """
    model = perceptron(1, 48, 48, 48, 1, activation=nn.Tanh)

    def loss(model, x):
        with torch.enable_grad():
            x = x.clone().requires_grad_()
            u = x * (1 - x) * model(x)
            (slope,) = torch.autograd.grad(u.sum(), x, create_graph=True)
            (curvature,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
        source = sum(
            weight * (k * math.pi) ** 2 * torch.sin(k * math.pi * x)
            for weight, k in ((1.0, 2), (0.3, 6))
        )
        return (curvature + source).pow(2).mean() / 1_000

    train = torch.rand(4_000, 1, generator=generator(4))
    test = torch.linspace(0, 1, 200)[:, None]
    return Kind(model, (train,), (test,), loss, batch_size=64)


def deep() -> Kind:
    """Return a perceptron of twelve tanh layers without a norm, on a function of ten variables."""
    draw, count = generator(7), 9_000
    x = torch.randn(count, 10, generator=draw)
    y = torch.sin(2 * x[:, :1]) * x[:, 1:2] + (x[:, 2:3] * x[:, 3:4]).tanh()
    y = y + 0.1 * torch.randn(count, 1, generator=draw)
    model = perceptron(10, *12 * [64], 1, activation=nn.Tanh)
    return Kind(model, *divided((x, y), 1_000), squared_error, batch_size=64)


def logistic() -> Kind:
    """Return logistic regression from zero weights."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return Kind(model, *fashion(), classification)


class _Table(nn.Module):
    def __init__(self, columns, values, numbers, width=8):
        super().__init__()
        self.embeddings = nn.ModuleList([nn.Embedding(values, width) for _ in range(columns)])
        sides = columns * width + numbers, 128, 64
        layers = []
        for inputs, outputs in zip(sides, sides[1:], strict=False):
            layers += [nn.BatchNorm1d(inputs), nn.Linear(inputs, outputs), nn.ReLU()]
        self.inner = nn.Sequential(*layers, nn.Linear(64, 2))

    def forward(self, x, numbers):
        rows = [embedding(x[:, i]) for i, embedding in enumerate(self.embeddings)]
        return self.inner(torch.cat([*rows, numbers], 1))


def table() -> Kind:
    """Return a table of six categories and ten numbers, mostly noise, which is soon overfitted."""
    draw, count, values = generator(10), 9_000, 50
    x = torch.randint(0, values, (count, 6), generator=draw)
    numbers = torch.randn(count, 10, generator=draw)
    effects = torch.randn(6, values, 3, generator=draw)
    hidden: Any = sum(effects[i][x[:, i]] for i in range(6))
    score = hidden[:, 0] * numbers[:, 0] + hidden[:, 1] * hidden[:, 2]
    score = score + 2 * numbers[:, 1] * numbers[:, 2]
    y = (score + torch.randn(count, generator=draw) > 0).long()

    def loss(model, x, numbers, y):
        return nn.functional.cross_entropy(model(x, numbers), y)

    return Kind(_Table(6, values, 10), *divided((x, numbers, y), 1_000), loss, batch_size=64)
