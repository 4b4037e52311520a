"""Literals restore float32 numbers to the bit."""

import ast
import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
import torch

from checkpoints_to_source.literals import float32_literal, record_literal, tensor_literal

FLOAT = np.finfo(np.float32)
# 0x15ae43fd is nearest to 7.038531e-26, but the double nearest to that decimal lies midway between
# two float32 and rounds to the even, wrong one.
TWICE_ROUNDED = np.uint32(0x15AE43FD).view(np.float32)
ADVERSARIAL = [
    0.0,
    -0.0,
    1.0,
    -1e10,
    0.1,
    1 / 3,
    2.0**-44,
    2.0**24 - 1,
    FLOAT.max,
    FLOAT.min,
    FLOAT.tiny,
    FLOAT.smallest_subnormal,
    -FLOAT.smallest_subnormal,
    np.nextafter(FLOAT.tiny, np.float32(0)),
    np.nextafter(np.float32(1), np.float32(0)),
    np.nextafter(np.float32(1), np.float32(2)),
    TWICE_ROUNDED,
]


def bits(value):
    return np.float32(value).view(np.uint32)


def as_torch_reads_it(text):
    value = ast.literal_eval(text)
    assert type(value) is float
    return torch.tensor([value], dtype=torch.float32).numpy()[0]


@pytest.mark.parametrize("value", ADVERSARIAL)
def test_literal_is_bit_exact(value):
    assert bits(as_torch_reads_it(float32_literal(value))) == bits(value)


def test_random_bit_patterns_are_bit_exact():
    patterns = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint32)
    values = patterns.view(np.float32)
    finite = values[np.isfinite(values)]
    restored = torch.tensor([float(float32_literal(v)) for v in finite], dtype=torch.float32)
    assert (restored.numpy().view(np.uint32) == finite.view(np.uint32)).all()


def test_the_shortest_decimal_alone_would_not_do():
    shortest = np.format_float_scientific(TWICE_ROUNDED, trim="-")
    via_double = np.float32(float(shortest))
    assert via_double != TWICE_ROUNDED
    exact = Fraction(shortest)
    assert abs(exact - Fraction(float(TWICE_ROUNDED))) < abs(exact - Fraction(float(via_double)))


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


def test_record_literal_restores_a_record():
    class Record(NamedTuple):
        a: int
        b: float

    record = Record(3, 1 / 3)
    assert eval(record_literal(record), {"Record": Record}) == record
