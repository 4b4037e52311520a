"""A vision transformer (Dosovitskiy et al., arXiv:2010.11929)."""

import torch
from torch import Tensor, nn

from tasks.architectures.transformer import Block
from tasks.data.formats import Shape
from tasks.layers import Activation, PatchEmbedding


class ViT(nn.Module):
    """Images [N, C, H, W] -> logits, from the mean over tokens (no class token)."""

    def __init__(
        self,
        shape: Shape,
        *,
        patch: int = 4,
        heads: int = 2,
        head_width: int = 12,
        depth: int = 2,
        activation: Activation = "gelu",
    ) -> None:
        super().__init__()
        width = heads * head_width
        self.embedding = PatchEmbedding(shape.input, patch, width)
        self.position = nn.Parameter(torch.empty(self.embedding.tokens, width))
        blocks = (Block(heads, head_width, None, activation) for _ in range(depth))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, shape.classes)
        nn.init.normal_(self.position, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.embedding(x) + self.position)
        return self.head(self.norm(x).mean(1))
