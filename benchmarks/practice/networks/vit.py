"""A vision transformer with the initial weights of timm's (Dosovitskiy et al. 2021)."""

import torch
from torch import nn

from benchmarks.networks.data import classification, fashion
from benchmarks.networks.kind import Kind
from benchmarks.practice.networks.gpt import Block

WIDTH, DEPTH, PATCH = 64, 4, 4
TOKENS = (28 // PATCH) ** 2


class ViT(nn.Module):
    """Blocks on patches and a token of the class."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(1, width, PATCH, PATCH)
        self.token = nn.Parameter(1e-6 * torch.randn(1, 1, width))
        self.position = nn.Parameter(torch.empty(TOKENS + 1, width))
        self.blocks = nn.Sequential(
            *[Block(width, is_causal=False) for _ in range(DEPTH)], nn.LayerNorm(width)
        )
        self.head = nn.Linear(width, 10)
        nn.init.trunc_normal_(self.position, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), patches], 1)
        return self.head(self.blocks(tokens + self.position)[:, 0])


def make(width: int) -> Kind:
    """Return the network on all images, 64 a batch; 1,000 are tested."""
    model = ViT(width * WIDTH)
    train, test = fashion(60_000, 1_000)
    outer = [model.patches.weight, model.token, model.position, model.head.weight]
    return Kind(model, train, test, classification, batch_size=64, test_batch=250, outer=outer)
