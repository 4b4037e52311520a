"""A GPT on characters of English, with the initial weights of GPT-2 (Radford et al. 2019)."""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.networks.data import SYMBOLS, characters, classification
from benchmarks.networks.kind import Kind

CONTEXT, WIDTH, HEADS, DEPTH = 64, 128, 4, 4


class Block(nn.Module):
    """Attention and a perceptron, each after a layer norm and beside the residual stream."""

    def __init__(self, width: int, is_causal: bool = True) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])
        self.mixed, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.is_causal = is_causal

    def forward(self, x: torch.Tensor) -> torch.Tensor:
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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.blocks(self.embedding(x) + self.position) @ self.embedding.weight.T


def _initialise(module):
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def make(width: int) -> Kind:
    """Return the network on 400,000 characters, 16 windows a batch."""
    model = GPT(width * WIDTH)
    train, test = characters(CONTEXT, train=400_000)
    outer = [model.embedding.weight, model.position]
    return Kind(model, train, test, classification, batch_size=16, test_batch=250, outer=outer)
