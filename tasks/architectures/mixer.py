"""MLP-Mixer (Tolstikhin et al., arXiv:2105.01601)."""

from torch import Tensor, nn

from tasks.data.formats import Shape
from tasks.layers import Activation, PatchEmbedding, feed_forward


class Mixer(nn.Module):
    """Images [N, C, H, W] -> logits, from the mean over tokens after `depth` blocks."""

    def __init__(
        self,
        shape: Shape,
        *,
        patch: int = 4,
        width: int = 32,
        depth: int = 2,
        activation: Activation = "gelu",
    ) -> None:
        super().__init__()
        self.embedding = PatchEmbedding(shape.input, patch, width)
        tokens = self.embedding.tokens
        self.blocks = nn.Sequential(*(Block(tokens, width, activation) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, shape.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.embedding(x))
        return self.head(self.norm(x).mean(1))


class Block(nn.Module):
    """A perceptron across tokens, then one across channels. Both are residual and pre-norm."""

    def __init__(self, tokens: int, width: int, activation: Activation) -> None:
        super().__init__()
        self.token_norm, self.channel_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.across_tokens = feed_forward(tokens, activation)
        self.across_channels = feed_forward(width, activation)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.across_tokens(self.token_norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.across_channels(self.channel_norm(x))
