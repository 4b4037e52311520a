"""Layers under vmap equal torch's own, model by model."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, vmap

from tasks.cells import GRU, LSTM, RNN
from tasks.layers import conv2d_by_slices


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (5, 2, 0), (1, 1, 0)]
)
@pytest.mark.parametrize("biased", [True, False])
def test_sliced_convolution(size, stride, padding, biased):
    x = torch.randn(4, 5, 3, 9, 8, dtype=torch.float64)
    weight = torch.randn(4, 6, 3, size, size, dtype=torch.float64)
    bias = torch.randn(4, 6, dtype=torch.float64)

    def sliced(x, w, b):
        return conv2d_by_slices(x, w, b if biased else None, stride, padding)

    for model, out in enumerate(vmap(sliced)(x, weight, bias)):
        b = bias[model] if biased else None
        expected = F.conv2d(x[model], weight[model], b, stride=stride, padding=padding)
        torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("cell", [LSTM, GRU, RNN])
def test_the_loop_over_time_equals_torch(cell):
    models = [cell(4, 6, 2, batch_first=True).double() for _ in range(3)]
    x = torch.randn(3, 5, 7, 4, dtype=torch.float64)
    stacked = {
        name: torch.stack([dict(m.named_parameters())[name].detach() for m in models])
        for name, _ in models[0].named_parameters()
    }
    out = vmap(lambda weights, x: functional_call(models[0], weights, (x,))[0])(stacked, x)
    for model, result, own in zip(models, out, x, strict=True):
        torch.testing.assert_close(result, model(own)[0])
