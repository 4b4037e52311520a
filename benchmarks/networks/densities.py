"""Density models and contrastive losses."""

import math

import torch
from torch import nn
from torch.nn import functional

from benchmarks.networks.data import divided, fashion, generator
from benchmarks.networks.kind import Kind, perceptron


def variational() -> Kind:
    """Return a variational autoencoder (Kingma & Welling 2014); its loss is some hundred nats."""
    model = nn.ModuleDict({"encoder": perceptron(784, 128, 16), "decoder": perceptron(8, 128, 784)})

    def loss(model, x):
        mean, log_variance = model["encoder"](x).chunk(2, -1)
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        error = functional.binary_cross_entropy_with_logits(
            model["decoder"](code), x, reduction="none"
        )
        divergence = (mean**2 + log_variance.exp() - 1 - log_variance) / 2
        return (error.sum(-1) + divergence.sum(-1)).mean()

    parts = [x.flatten(1) for x, _ in fashion()]
    least, most = (getattr(torch.cat(parts), side)() for side in ("min", "max"))
    train, test = (((x - least) / (most - least),) for x in parts)
    return Kind(model, train, test, loss, batch_size=64)


class _Flow(nn.Module):
    def __init__(self, layers=6, width=64):
        super().__init__()
        self.layers = nn.ModuleList(
            [perceptron(1, width, width, 2, activation=nn.Tanh) for _ in range(layers)]
        )
        for layer in self.layers:
            nn.init.zeros_(layer[-1].weight)
            nn.init.zeros_(layer[-1].bias)

    def forward(self, x):
        """Return the mean negative log density of points `[n, 2]`."""
        kept, moved = x.unbind(-1)
        log_volume = 0.0
        for layer in self.layers:
            scale, shift = layer(kept[:, None]).unbind(-1)
            scale = 2 * torch.tanh(scale / 2)
            kept, moved = moved * scale.exp() + shift, kept
            log_volume = log_volume + scale
        energy = (kept**2 + moved**2) / 2 + math.log(2 * math.pi)
        return (energy - log_volume).mean()


def flow() -> Kind:
    """Return affine couplings (Dinh et al. 2017, RealNVP) on two half moons."""
    draw, count = generator(3), 9_000
    angle = math.pi * torch.rand(count, generator=draw)
    upper = torch.stack([angle.cos(), angle.sin()], -1)
    is_upper = torch.rand(count, 1, generator=draw) < 0.5
    x = torch.where(is_upper, upper, torch.tensor([1.0, 0.5]) - upper)
    x = x + 0.1 * torch.randn(x.shape, generator=draw)
    parts = divided(((x - x.mean(0)) / x.std(0),), 1_000)
    return Kind(_Flow(), *parts, lambda model, x: model(x), batch_size=128)


class _Pairs(nn.Module):
    def __init__(self):
        super().__init__()
        self.sides = nn.ModuleList([perceptron(392, 128, 32) for _ in range(2)])
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())

    def forward(self, x):
        """Return similarities `[n, n]` of upper and lower halves of images."""
        halves = x.flatten(1).split(392, 1)
        upper, lower = (
            functional.normalize(side(half), dim=-1)
            for side, half in zip(self.sides, halves, strict=True)
        )
        return self.log_scale.exp() * upper @ lower.T


def contrastive() -> Kind:
    """Return a contrastive model of image halves (Radford et al. 2021, CLIP).

    Its temperature is learned.
    """

    def loss(model, x):
        logits, own = model(x), torch.arange(len(x))
        cross_entropy = functional.cross_entropy
        return (cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2

    train, test = ((x,) for x, _ in fashion(test=960))
    return Kind(_Pairs(), train, test, loss, batch_size=64, test_batch=64)
