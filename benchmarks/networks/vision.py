"""Convolutional networks other than a plain CNN, ResNet or VGG, on Fashion-MNIST."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.networks.data import classification, fashion, generator, squared_error
from benchmarks.networks.kind import Kind


def separable() -> Kind:
    """Return depthwise separable convolutions with batch norm (Howard et al. 2017, MobileNet)."""

    def block(inputs, outputs, stride):
        return nn.Sequential(
            nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU6(),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(),
        )

    first = nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6()
    blocks = block(16, 32, 1), block(32, 64, 2), block(64, 64, 1)
    return Kind(nn.Sequential(*first, *blocks, *_head(64)), *fashion(), classification)


class _ConvNeXt(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.inner = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        self.scale = nn.Parameter(torch.full((width,), 1e-6))

    def forward(self, x):
        inner = self.inner(self.depthwise(x).permute(0, 2, 3, 1)) * self.scale
        return x + inner.permute(0, 3, 1, 2)


def convnext() -> Kind:
    """Return a ConvNeXt (Liu et al. 2022).

    It has patches, large depthwise filters, layer norm, and a layer scale of 1e-6.
    """
    blocks = [_ConvNeXt(24) for _ in range(3)]
    model = nn.Sequential(nn.Conv2d(1, 24, 4, 4), *blocks, *_head(24))
    return Kind(model, *fashion(), classification)


class _Dense(nn.Module):
    def __init__(self, inputs, growth):
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, growth, 3, padding=1, bias=False)

    def forward(self, x):
        return torch.cat([x, self.conv(self.norm(x).relu())], 1)


def dense() -> Kind:
    """Return layers that each see all earlier ones (Huang et al. 2017, DenseNet)."""
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1),
        *[_Dense(8 + 6 * i, 6) for i in range(4)],
        nn.Conv2d(32, 16, 1),
        nn.AvgPool2d(2),
        *[_Dense(16 + 6 * i, 6) for i in range(4)],
        nn.BatchNorm2d(40),
        nn.ReLU(),
        *_head(40),
    )
    return Kind(model, *fashion(), classification)


class _Excitation(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.squeeze, self.excite = nn.Linear(width, width // 4), nn.Linear(width // 4, width)

    def forward(self, x):
        gate = torch.sigmoid(self.excite(self.squeeze(x.mean((2, 3))).relu()))
        return x * gate[..., None, None]


def squeeze_excitation() -> Kind:
    """Return channels gated by their means (Hu et al. 2018), with SiLU and dropout, no norm."""
    layers = []
    for inputs, outputs, stride in ((1, 16, 2), (16, 32, 2), (32, 32, 1)):
        layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.SiLU(), _Excitation(outputs)]
    layers += [nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 49, 10)]
    return Kind(nn.Sequential(*layers), *fashion(), classification)


class _UNet(nn.Module):
    def __init__(self, width=8):
        super().__init__()

        def convolution(inputs, outputs):
            layer = nn.Conv2d(inputs * width or 1, outputs * width, 3, padding=1)
            return nn.Sequential(layer, nn.GroupNorm(2, outputs * width), nn.SiLU())

        self.down = nn.ModuleList([convolution(*sides) for sides in ((0, 1), (1, 2), (2, 4))])
        self.up = nn.ModuleList([convolution(6, 2), convolution(3, 1)])
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        fine = self.down[0](x)
        middle = self.down[1](functional.avg_pool2d(fine, 2))
        coarse = self.down[2](functional.avg_pool2d(middle, 2))
        for layer, skipped in zip(self.up, (middle, fine), strict=True):
            larger = functional.interpolate(coarse, scale_factor=2)
            coarse = layer(torch.cat([larger, skipped], 1))
        return self.last(coarse)


def denoising() -> Kind:
    """Return a U-Net that removes noise from images (Ronneberger et al. 2015)."""
    noise = generator(0)
    train, test = (
        (x + 0.5 * torch.randn(x.shape, generator=noise), x) for x, _ in fashion(3_000, 300)
    )
    return Kind(_UNet(), train, test, squared_error, batch_size=16)


def transposed() -> Kind:
    """Return a batch-norm autoencoder with transposed convolutions (as in Radford et al. 2016)."""
    encoder = (
        *(nn.Conv2d(1, 16, 4, 2, 1), nn.BatchNorm2d(16), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(16, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.LeakyReLU(0.2)),
        *(nn.Flatten(), nn.Linear(32 * 49, 16)),
    )
    decoder = (
        *(nn.Linear(16, 32 * 49), nn.Unflatten(1, (32, 7, 7))),
        *(nn.ConvTranspose2d(32, 16, 4, 2, 1), nn.BatchNorm2d(16), nn.ReLU()),
        nn.ConvTranspose2d(16, 1, 4, 2, 1),
    )
    train, test = ((x, x) for x, _ in fashion())
    return Kind(nn.Sequential(*encoder, *decoder), train, test, squared_error)


def _head(width):
    return nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)
