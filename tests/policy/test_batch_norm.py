"""Batch norm is detected from the initial weights and from the gradient."""

import pytest
import torch
from torch import nn

from policy.driver.batch_norm import UNITS, has_batch_norm, may_normalise


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ([torch.randn(3, 2), torch.zeros(3)], False),
        ([torch.randn(3, 2), torch.zeros(3), torch.ones(3)], True),
        ([torch.randn(3, 2), torch.full((3,), 0.3)], True),  # rescaled gains
        ([torch.randn(3, 2), torch.rand(UNITS)], True),  # gains drawn like in torch 1.1
        ([torch.randn(3, 2), torch.rand(UNITS - 1)], False),
        ([torch.ones(3, 2), torch.ones(1), torch.tensor(1.0)], False),
        ([torch.randn(3)], False),
    ],
    ids=[
        "biases",
        "gains",
        "rescaled gains",
        "random gains",
        "few numbers",
        "no vectors",
        "other vectors",
    ],
)
def test_gains_suggest_running_statistics(state, expected):
    assert may_normalise(state) is expected


def gradients_of(*layers):
    """Return the state of a network of these layers and a linear one, and a batch's gradients."""
    torch.manual_seed(0)
    network = nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(3))
    outputs = network(torch.randn(32, 2, 6, 6))
    nn.functional.cross_entropy(outputs, torch.arange(32) % 3).backward()
    return list(network.parameters()), [p.grad for p in network.parameters()]


def conv(units=16, bias=True):
    return nn.Conv2d(2, units, 3, bias=bias)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([conv(), nn.BatchNorm2d(16)], True),
        ([conv(), nn.BatchNorm2d(16), nn.Tanh(), nn.Conv2d(16, 9, 3), nn.ReLU()], True),
        ([conv(bias=False), nn.ReLU(), nn.BatchNorm2d(16)], True),
        ([conv(), nn.ReLU(), nn.BatchNorm2d(16)], True),
        ([conv(), nn.GroupNorm(4, 16), nn.ReLU()], False),
        ([conv(), nn.LayerNorm([16, 4, 4])], False),
        ([conv(), nn.ReLU()], False),
        ([conv(), nn.Tanh(), nn.BatchNorm2d(16)], False),
        ([conv(UNITS - 1), nn.BatchNorm2d(UNITS - 1)], False),
    ],
    ids=[
        "batch",
        "first of two",
        "behind relu",
        "behind relu, with biases",
        "group",
        "layer",
        "none",
        "behind tanh",
        "few units",
    ],
)
def test_batch_norm_shows_in_the_gradient(layers, expected):
    assert has_batch_norm(*gradients_of(*layers)) is expected


def test_missing_gradient_shows_no_batch_norm():
    weights = torch.randn(20, 5)
    assert not has_batch_norm([weights], [None])
    assert not has_batch_norm([weights], [torch.zeros(20, 5)])
    assert not has_batch_norm([weights], [torch.zeros(20, 5).to_sparse()])
    assert not has_batch_norm([torch.randn(20)], [torch.randn(20)])
