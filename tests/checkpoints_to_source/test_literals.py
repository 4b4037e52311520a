"""Literals restore float32 numbers bit for bit."""

import math
from typing import NamedTuple

import numpy as np
import pytest
import torch

from checkpoints_to_source.literals import (
    float32_literal,
    record_literal,
    tensor_literal,
    weights_literal,
)

FLOAT = np.finfo(np.float32)
# 7.038531e-26 is nearest to 0x15ae43fd. But the double nearest to this decimal is midway between
# two float32 numbers, and rounds to the even one, which is wrong.
TWICE_ROUNDED = np.uint32(0x15AE43FD).view(np.float32)


def test_literals_are_bit_exact_in_torch():
    patterns = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint32)
    special = [0.0, -0.0, 0.1, 1 / 3, FLOAT.max, FLOAT.min, FLOAT.tiny, FLOAT.smallest_subnormal]
    values = np.float32([*special, TWICE_ROUNDED, *patterns.view(np.float32)])
    values = values[np.isfinite(values)]
    restored = torch.tensor([float(float32_literal(v)) for v in values], dtype=torch.float32)
    assert (restored.numpy().view(np.uint32) == values.view(np.uint32)).all()


def test_literals_are_short():
    shortest = ["0.1", "-0.0", "1.0", "1e10", "1e-45", "2.5e-5"]
    assert [float32_literal(float(text)) for text in shortest] == shortest


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_literal_for_non_finite_numbers(value):
    with pytest.raises(ValueError, match="no literal"):
        float32_literal(value)


@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 1, 40)])
@pytest.mark.parametrize("indent", [0, 4])
def test_tensor_literal_restores_shape_and_bits_in_narrow_lines(shape, indent):
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 1e-5
    text = tensor_literal(tensor, indent)
    assert all(len(line) <= 100 for line in text.splitlines())
    restored = eval(text, {"torch": torch})
    assert restored.shape == tensor.shape and restored.dtype == torch.float32
    assert torch.equal(restored.view(torch.int32), tensor.view(torch.int32))


def test_weights_literal_restores_names_in_order():
    weights = {"b": torch.ones(2), "a": torch.zeros(1, 3)}
    restored = eval(weights_literal(weights), {"torch": torch})
    assert list(restored) == ["a", "b"]
    assert all(torch.equal(restored[name], weights[name]) for name in weights)


def test_record_literal_restores_a_record():
    class Record(NamedTuple):
        a: int
        b: float

    record = Record(3, 1 / 3)
    assert eval(record_literal(record), {"Record": Record}) == record
