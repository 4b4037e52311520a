"""MLP-Mixer (Tolstikhin et al., arXiv:2105.01601)."""

from torch import Tensor, nn

from tasks.data.formats import Shape
from tasks.layers import Activation, PatchEmbedding
from tasks.layers import activation as make_activation


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
        self.blocks = nn.ModuleList(Block(tokens, width, activation) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, shape.classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embedding(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))


class Block(nn.Module):
    """A perceptron across tokens, then one across channels, each residual, layer norm first."""

    def __init__(self, tokens: int, width: int, activation: Activation) -> None:
        super().__init__()
        self.token_norm, self.channel_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.across_tokens = _perceptron(tokens, activation)
        self.across_channels = _perceptron(width, activation)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.across_tokens(self.token_norm(x).transpose(1, 2)).transpose(1, 2)
        return x + self.across_channels(self.channel_norm(x))


def _perceptron(width: int, activation: Activation) -> nn.Module:
    return nn.Sequential(
        nn.Linear(width, 2 * width), make_activation(activation), nn.Linear(2 * width, width)
    )
