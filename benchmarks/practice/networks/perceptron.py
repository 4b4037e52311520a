"""A perceptron on a table, with torch's initial weights."""

import torch
from sklearn.datasets import make_friedman1
from torch import nn

from benchmarks.networks.data import divided, squared_error
from benchmarks.networks.kind import Kind

ROWS, TESTED, COLUMNS, WIDTH = 43_000, 3_000, 20, 256


def make(width: int) -> Kind:
    """Return three hidden layers on Friedman's first function (1991) of five columns of twenty,
    with a little noise; columns and values are standardised, 256 rows a batch."""
    x, y = make_friedman1(ROWS, COLUMNS, noise=0.3, random_state=0)
    columns = [torch.tensor(part, dtype=torch.float32) for part in (x, y[:, None])]
    train, test = divided(tuple((c - c.mean(0)) / c.std(0) for c in columns), TESTED)
    width *= WIDTH
    layers = [nn.Linear(COLUMNS, width), nn.ReLU()]
    for _ in range(2):
        layers += [nn.Linear(width, width), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Linear(width, 1))
    outer = [model[0].weight, model[-1].weight]
    return Kind(model, train, test, squared_error, batch_size=256, test_batch=250, outer=outer)
