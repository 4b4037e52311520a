"""A decoder-only, pre-norm transformer language model (Xiong et al., arXiv:2002.04745)."""

from typing import Any

import torch
from torch import Tensor, nn

from tasks.data.formats import Shape
from tasks.layers import Activation, feed_forward


class TransformerLanguageModel(nn.Module):
    """Tokens [N, T] -> logits [N, T, classes]. The width is heads * head_width."""

    def __init__(
        self,
        shape: Shape,
        *,
        heads: int = 2,
        head_width: int = 12,
        depth: int = 1,
        activation: Activation = "gelu",
    ) -> None:
        super().__init__()
        (context,), width = shape.input, heads * head_width
        self.embedding = nn.Embedding(shape.classes, width)
        self.position = nn.Parameter(torch.empty(context, width))
        blocks = (Block(heads, head_width, context, activation) for _ in range(depth))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, shape.classes)
        for table in (self.embedding.weight, self.position):
            nn.init.normal_(table, std=width**-0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]
        return self.head(self.norm(self.blocks(x)))


class Block(nn.Module):
    """Self-attention and a two-layer perceptron, both residual and pre-norm.

    context: the largest number of tokens for causal attention; None for full attention.
    """

    def __init__(
        self, heads: int, head_width: int, context: int | None, activation: Activation
    ) -> None:
        super().__init__()
        width = heads * head_width
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.mlp = feed_forward(width, activation)
        future: Any = None
        if context is not None:
            future = torch.full((context, context), float("-inf")).triu(1)
        self.register_buffer("future", future, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.project(self._attend(self.attention_norm(x)))
        return x + self.mlp(self.mlp_norm(x))

    def _attend(self, x: Tensor) -> Tensor:
        """Apply softmax attention with plain products, since fused kernels have no vmap rule."""
        length = x.shape[1]
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
        if self.future is not None:
            scores = scores + self.future[:length, :length]  # type: ignore[index]
        return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
