"""The convolution for accelerators under vmap equals torch's own, model by model."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import vmap

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
