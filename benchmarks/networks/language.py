"""Language models whose parts differ from those of the training families."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.networks.data import SYMBOLS, characters, classification, generator, words
from benchmarks.networks.kind import Kind

CONTEXT = 48


class _Gated(nn.Module):
    """One block of a Llama; its residual branches start at zero."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.mixed = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate, self.up = (nn.Linear(width, 128, bias=False) for _ in range(2))
        self.down = nn.Linear(128, width, bias=False)
        self.norms = nn.ModuleList([nn.RMSNorm(width) for _ in range(2)])
        for last in (self.out, self.down):
            nn.init.zeros_(last.weight)

    def forward(self, x):
        count, length, width = x.shape
        parts = self.mixed(self.norms[0](x)).view(count, length, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(
            _rotated(query), _rotated(key), value, is_causal=True
        )
        x = x + self.out(found.transpose(1, 2).reshape(count, length, width))
        inner = self.norms[1](x)
        return x + self.down(functional.silu(self.gate(inner)) * self.up(inner))


def _rotated(x):
    """Apply rotary positions (Su et al. 2021)."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2])[:, None] * 10_000 ** (-torch.arange(half) / half)
    a, b = x.split(half, -1)
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos()], -1)


class _Tied(nn.Module):
    """Blocks between an embedding and its transpose."""

    def __init__(self, blocks, width, position=False):
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        start = 0.02 * torch.randn(CONTEXT, width)
        self.position = nn.Parameter(start) if position else 0.0
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x):
        return self.blocks(self.embedding(x) + self.position) @ self.embedding.weight.T


def llama() -> Kind:
    """Return a Llama: RMS norm, gated units, rotary positions, no biases (Touvron et al. 2023).

    Residual branches start at zero.
    """
    blocks = [*[_Gated(48, 3) for _ in range(3)], nn.RMSNorm(48)]
    return Kind(_Tied(blocks, 48), *characters(CONTEXT), classification, batch_size=16)


class _HeadAxes(nn.Module):
    """Attention with a separate weight axis for heads, as in JAX libraries."""

    def __init__(self, width, heads=4):
        super().__init__()
        shape = width, heads, width // heads
        self.query, self.key, self.value = (
            nn.Parameter(torch.randn(shape) * width**-0.5) for _ in range(3)
        )
        self.out = nn.Parameter(torch.randn(*shape[1:], width) * width**-0.5)
        self.norm = nn.LayerNorm(width)

    def forward(self, x):
        projections = self.query, self.key, self.value
        parts = [torch.einsum("btd,dhk->bhtk", self.norm(x), w) for w in projections]
        found = functional.scaled_dot_product_attention(*parts, is_causal=True)
        return x + torch.einsum("bhtk,hkd->btd", found, self.out)


class _Experts(nn.Module):
    """A soft mixture of experts, with a separate weight axis for experts (Jacobs et al. 1991)."""

    def __init__(self, width, inner=64, experts=4):
        super().__init__()
        self.router, self.norm = nn.Linear(width, experts), nn.LayerNorm(width)
        self.up = nn.Parameter(torch.randn(experts, width, inner) * width**-0.5)
        self.down = nn.Parameter(torch.randn(experts, inner, width) * inner**-0.5)

    def forward(self, x):
        u = self.norm(x)
        inner = torch.einsum("btd,edh->bteh", u, self.up).relu()
        return x + torch.einsum("bteh,ehd,bte->btd", inner, self.down, self.router(u).softmax(-1))


def experts() -> Kind:
    """Return a transformer whose weights have three axes, for heads and for experts."""
    blocks = [_HeadAxes(48), _Experts(48), _HeadAxes(48), _Experts(48), nn.LayerNorm(48)]
    model = _Tied(blocks, 48, position=True)
    return Kind(model, *characters(CONTEXT), classification, batch_size=16)


class _Masked(nn.Module):
    def __init__(self, context, width=48):
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 3, 128, 0.0, batch_first=True, norm_first=True)
        self.embedding = nn.Embedding(SYMBOLS + 1, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.position = nn.Parameter(0.02 * torch.randn(context, width))
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, SYMBOLS))

    def forward(self, x):
        return self.out(self.encoder(self.embedding(x) + self.position))


def masked() -> Kind:
    """Return an encoder that fills in a fifth of the characters (Devlin et al. 2019, BERT)."""
    draw, context = generator(15), 24

    def part(x):
        return torch.where(torch.rand(x.shape, generator=draw) < 0.2, SYMBOLS, x), x

    def loss(model, x, y):
        hidden = x == SYMBOLS
        return functional.cross_entropy(model(x)[hidden], y[hidden])

    train, test = (part(x) for x, _ in characters(context))
    return Kind(_Masked(context), train, test, loss)


class _Words(nn.Module):
    def __init__(self, vocabulary, width=48):
        super().__init__()
        self.embedding, self.out = nn.Embedding(vocabulary, width), nn.Linear(width, vocabulary)
        self.gru = nn.GRU(width, width, batch_first=True)

    def forward(self, x):
        return self.out(self.gru(self.embedding(x))[0])


def untied_words() -> Kind:
    """Return a GRU on words with untied embedding and output."""
    return Kind(_Words(2_000), *words(20, 2_000), classification, batch_size=16)
