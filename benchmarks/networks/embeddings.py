"""Models that are mostly embeddings; a batch touches few of their rows."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.networks.data import classification, divided, generator, squared_error
from benchmarks.networks.kind import Kind, perceptron


class _Factors(nn.Module):
    def __init__(self, users, items, rank=16):
        super().__init__()
        self.user, self.item = nn.Embedding(users, rank), nn.Embedding(items, rank)
        self.user_bias, self.item_bias = nn.Embedding(users, 1), nn.Embedding(items, 1)
        for embedding in self.children():
            nn.init.normal_(embedding.weight, std=0.05)
        self.mean = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        user, item = x.unbind(-1)
        biases = self.user_bias(user) + self.item_bias(item)
        return self.mean + (self.user(user) * self.item(item)).sum(-1) + biases[:, 0]


def factorisation() -> Kind:
    """Return a model of ratings as products of user and item factors (Koren et al. 2009)."""
    draw, users, items, count = generator(2), 600, 400, 40_000
    factors = [torch.randn(n, 4, generator=draw) for n in (users, items)]
    biases = [torch.randn(n, generator=draw) / 2 for n in (users, items)]
    x = torch.stack([torch.randint(0, n, (count,), generator=draw) for n in (users, items)], -1)
    user, item = x.unbind(-1)
    y = 3.5 + biases[0][user] + biases[1][item] + (factors[0][user] * factors[1][item]).sum(-1) / 2
    y = y + 0.3 * torch.randn(count, generator=draw)
    return Kind(_Factors(users, items), *divided((x, y), 4_000), squared_error, batch_size=256)


def bags_of_words() -> Kind:
    """Return a classifier of mean word vectors (Joulin et al. 2016, fastText)."""
    draw, vocabulary, classes, count, width = generator(12), 4_000, 8, 9_000, 32
    y = torch.randint(0, classes, (count,), generator=draw)
    frequencies = _topics(vocabulary, classes, 5.0, draw)
    x = torch.multinomial(frequencies[y], 20, replacement=True, generator=draw)
    bag = nn.EmbeddingBag(vocabulary, width, mode="mean")
    nn.init.uniform_(bag.weight, -1 / width, 1 / width)
    model = nn.Sequential(bag, nn.Linear(width, classes))
    return Kind(model, *divided((x, y), 1_000), classification)


def _topics(vocabulary, topics, preference, draw):
    """Return word frequencies `[topics, vocabulary]` by Zipf's law; topics prefer certain words."""
    frequency = 1 / (torch.arange(vocabulary) + 8.0)
    own = torch.randint(0, topics, (vocabulary,), generator=draw) == torch.arange(topics)[:, None]
    return frequency * (1 + (preference - 1) * own)


class _SkipGram(nn.Module):
    def __init__(self, vocabulary, width=64):
        super().__init__()
        self.word, self.context = (nn.Embedding(vocabulary, width) for _ in range(2))
        nn.init.uniform_(self.word.weight, -0.5 / width, 0.5 / width)
        nn.init.zeros_(self.context.weight)

    def forward(self, x):
        return torch.einsum("nd,nkd->nk", self.word(x[:, 0]), self.context(x[:, 1:]))


def skip_gram() -> Kind:
    """Return word vectors with negative sampling (Mikolov et al. 2013).

    Output vectors start at zero.
    """
    draw, vocabulary, count, negatives = generator(11), 3_000, 64_000, 5
    frequencies = _topics(vocabulary, 20, 31.0, draw)
    topic = torch.randint(0, 20, (count,), generator=draw)
    pairs = torch.multinomial(frequencies[topic], 2, replacement=True, generator=draw)
    noise = frequencies.mean(0) ** 0.75
    others = torch.multinomial(noise, count * negatives, replacement=True, generator=draw)
    x = torch.cat([pairs, others.view(count, negatives)], 1)

    def loss(model, x):
        logits = model(x)
        wrong = functional.softplus(logits[:, 1:]).sum(1)
        return (functional.softplus(-logits[:, 0]) + wrong).mean()

    return Kind(_SkipGram(vocabulary), *divided((x,), 4_000), loss, batch_size=128)


class _Clicks(nn.Module):
    def __init__(self, values, width=16):
        super().__init__()
        self.embeddings = nn.ModuleList([nn.Embedding(values, width) for _ in range(3)])
        for embedding in self.embeddings:
            nn.init.uniform_(embedding.weight, -(values**-0.5), values**-0.5)
        self.bottom, self.top = perceptron(8, 32, width), perceptron(width + 6, 64, 1)

    def forward(self, x, numbers):
        dense = self.bottom(numbers)
        rows = [embedding(x[:, i]) for i, embedding in enumerate(self.embeddings)]
        vectors = torch.stack([*rows, dense], 1)
        first, second = torch.triu_indices(4, 4, 1)
        products = (vectors[:, first] * vectors[:, second]).sum(-1)
        return self.top(torch.cat([dense, products], 1))[:, 0]


def clicks() -> Kind:
    """Return products of embeddings and a perceptron on noisy labels (Naumov et al. 2019, DLRM)."""
    draw, values, count = generator(14), 2_000, 60_000
    frequency = 1 / (torch.arange(values) + 20.0)
    x = torch.multinomial(frequency, 3 * count, replacement=True, generator=draw).view(count, 3)
    numbers = torch.randn(count, 8, generator=draw)
    a, b, c = (torch.randn(values, 4, generator=draw)[x[:, i]] for i in range(3))
    score = 0.7 * (a * b + b * c).sum(-1) + numbers[:, 0] + a[:, 0] * numbers[:, 1]
    y = (score + torch.randn(count, generator=draw) > 0).float()

    def loss(model, x, numbers, y):
        return functional.binary_cross_entropy_with_logits(model(x, numbers), y)

    return Kind(_Clicks(values), *divided((x, numbers, y), 5_000), loss, batch_size=128)
