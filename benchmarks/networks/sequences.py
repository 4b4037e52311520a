"""Sequence models other than plain recurrent networks and transformer decoders."""

import math

import torch
from torch import nn
from torch.nn import functional

from benchmarks.networks.data import SYMBOLS, characters, classification, divided, generator
from benchmarks.networks.kind import Kind


class _Bidirectional(nn.Module):
    def __init__(self, symbols, classes, width=32):
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.lstm = nn.LSTM(width, width, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, classes)

    def forward(self, x):
        return self.out(self.lstm(self.embedding(x))[0].amax(1))


def bidirectional() -> Kind:
    """Return a bidirectional LSTM that assigns sequences of forty symbols to six Markov chains."""
    draw, classes, symbols, count = generator(5), 6, 40, 5_000
    chains = torch.randn(classes, symbols, symbols, generator=draw).mul(1.5).softmax(-1)
    y = torch.randint(0, classes, (count,), generator=draw)
    x = torch.randint(0, symbols, (count, 1), generator=draw)
    for _ in range(29):
        following = torch.multinomial(chains[y, x[:, -1]], 1, generator=draw)
        x = torch.cat([x, following], 1)
    return Kind(_Bidirectional(symbols, classes), *divided((x, y), 1_000), classification)


class _Dilated(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, width)
        self.layers = nn.ModuleList(
            [
                nn.utils.parametrizations.weight_norm(nn.Conv1d(width, width, 3, dilation=2**i))
                for i in range(4)
            ]
        )
        self.out = nn.Linear(width, SYMBOLS)

    def forward(self, x):
        hidden = self.embedding(x).transpose(1, 2)
        for i, layer in enumerate(self.layers):
            hidden = hidden + layer(functional.pad(hidden, (2 * 2**i, 0))).relu()
        return self.out(hidden.transpose(1, 2))


def dilated() -> Kind:
    """Return causal dilated convolutions with weight norm, on characters (Bai et al. 2018)."""
    return Kind(_Dilated(), *characters(64), classification, batch_size=16)


class _LinearRecurrence(nn.Module):
    """A diagonal complex recurrence and a gated layer (Orvieto et al. 2023, arXiv:2303.06349).

    The recurrence is parametrised in logarithms and unrolled as a convolution.
    """

    def __init__(self, width, states=32):
        super().__init__()
        radius = 0.8 + 0.199 * torch.rand(states)
        self.decay = nn.Parameter((-radius.log()).log())
        self.phase = nn.Parameter((torch.rand(states) * math.pi / 10).log())
        self.inputs = nn.Parameter(torch.randn(2, states, width) / math.sqrt(2 * width))
        self.outputs = nn.Parameter(torch.randn(2, width, states) / math.sqrt(states))
        self.skip = nn.Parameter(torch.randn(width))
        self.gain = nn.Parameter((1 - radius**2).log() / 2)
        self.norm, self.gate = nn.LayerNorm(width), nn.Linear(width, 2 * width)

    def forward(self, x):
        u = self.norm(x)
        steps = torch.arange(x.shape[1])
        lag = steps[:, None] - steps
        root = torch.polar(torch.exp(-torch.exp(self.decay)), torch.exp(self.phase))
        powers = root ** lag.clamp(min=0)[..., None] * (lag >= 0)[..., None]
        driven = self.gain.exp() * torch.complex(u @ self.inputs[0].T, u @ self.inputs[1].T)
        states = torch.einsum("tsn,bsn->btn", powers, driven)
        found = (states @ torch.complex(*self.outputs).T).real + self.skip * u
        return x + functional.glu(self.gate(functional.gelu(found)), -1)


def linear_recurrence() -> Kind:
    """Return two linear recurrent units, on characters."""
    width = 32
    layers = [_LinearRecurrence(width) for _ in range(2)]
    model = nn.Sequential(nn.Embedding(SYMBOLS, width), *layers, nn.Linear(width, SYMBOLS))
    return Kind(model, *characters(48), classification, batch_size=16)


class _EncoderDecoder(nn.Module):
    def __init__(self, symbols, length, width=32):
        super().__init__()
        self.length = length
        self.embedding = nn.Embedding(symbols, width)
        self.position = nn.Parameter(0.1 * torch.randn(1, 2 * length, width))
        self.transformer = nn.Transformer(width, 2, 2, 2, 64, dropout=0.0, batch_first=True)
        self.out = nn.Linear(width, symbols)

    def forward(self, x):
        source, target = (self.embedding(x) + self.position).split(self.length, 1)
        mask = nn.Transformer.generate_square_subsequent_mask(self.length)
        return self.out(self.transformer(source, target, tgt_mask=mask))


def encoder_decoder() -> Kind:
    """Return a transformer encoder and decoder that reverses sequences (Vaswani et al. 2017)."""
    symbols, length = 16, 12
    source = torch.randint(1, symbols, (9_000, length), generator=generator(8))
    y = source.flip(1)
    x = torch.cat([source, torch.zeros_like(y[:, :1]), y[:, :-1]], 1)
    return Kind(_EncoderDecoder(symbols, length), *divided((x, y), 500), classification)
