"""A small diffusion model of digits: a U-Net that predicts the noise (Ho et al. 2020)."""

import math

import torch
from torch import nn
from torch.nn import functional

from benchmarks.networks.kind import Kind
from tasks.data import load

WIDTH, TESTED, REPEATS = 32, 297, 4  # repeats: times and noises of a tested image


class Layer(nn.Module):
    """Two convolutions beside the identity; the time shifts channels between them. The second one
    starts at zero."""

    def __init__(self, inputs: int, outputs: int, times: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.GroupNorm(8, n) for n in (inputs, outputs)])
        self.first = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(times, outputs)
        self.across = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        inner = self.first(functional.silu(self.norms[0](x))) + self.time(time)[..., None, None]
        return self.across(x) + self.second(functional.silu(self.norms[1](inner)))


class UNet(nn.Module):
    """8 x 8 and 4 x 4 pixels, with one skip connection each."""

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

    def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        time = self.time(_waves(time, self.width))
        fine = self.down[0](self.first(x), time)
        coarse = self.down[1](functional.avg_pool2d(fine, 2), time)
        coarse = self.up[0](torch.cat([self.middle(coarse, time), coarse], 1), time)
        wide = torch.cat([functional.interpolate(coarse, scale_factor=2), fine], 1)
        return self.last(functional.silu(self.norm(self.up[1](wide, time))))


def _waves(time, width):
    """Sines and cosines of the time, `[n, width]`, at frequencies up to a thousand."""
    angles = time[:, None] * torch.logspace(0, 3, width // 2)
    return torch.cat([angles.sin(), angles.cos()], 1)


def loss(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """The squared error of the noise, at a random time of a cosine schedule (Nichol 2021)."""
    time, noise = torch.rand(len(images)), torch.randn_like(images)
    angle = 0.5 * math.pi * time[:, None, None, None]
    return functional.mse_loss(model(angle.cos() * images + angle.sin() * noise, time), noise)


def make(width: int) -> Kind:
    """Return the network on 1,500 images, 64 a batch."""
    data = load("digits", {"test": TESTED}, None)
    model = UNet(width * WIDTH)
    test = data.test_x.repeat(REPEATS, 1, 1, 1)
    outer = [model.first.weight, model.last.weight]
    return Kind(model, (data.train_x,), (test,), loss, batch_size=64, test_batch=250, outer=outer)
