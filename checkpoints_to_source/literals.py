"""Write numbers as Python source that restores them bit by bit."""

import textwrap
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

WIDTH = 100
_LARGEST = float(np.finfo(np.float32).max)


def float32_literal(value: Any) -> str:
    """Return the shortest Python float literal that restores a float32.

    Python reads the literal as a double, which is then rounded to float32. If double rounding gives
    another number, or the double exceeds the largest float32, the literal gets more digits.

    Raise ValueError for NaN and infinity, which have no literal.
    """
    value = np.float32(value)
    if not np.isfinite(value):
        raise ValueError(f"{value} has no literal")
    scientific = np.format_float_scientific(value, trim="-", exp_digits=1).replace("e+", "e")
    positional = np.format_float_positional(value, trim="0")
    shortest = min(positional, scientific, key=len)
    candidates = [shortest] + [f"{float(value):.{digits}g}" for digits in (9, 12, 17)]
    return next(text for text in candidates if _restores(text, value))


def weights_literal(weights: Mapping[str, Tensor], indent: int = 0) -> str:
    """Return a dict display that rebuilds named float32 tensors, sorted by name.

    `indent` is the number of spaces before the line on which the expression starts.
    """
    pad = " " * indent
    items = (
        f'{pad}    "{name}": {tensor_literal(weights[name], indent + 4)},\n'
        for name in sorted(weights)
    )
    return "{\n" + "".join(items) + pad + "}"


def tensor_literal(tensor: Tensor, indent: int = 0) -> str:
    """Return an expression that rebuilds a float32 tensor, in lines of at most WIDTH characters."""
    numbers = [float32_literal(value) for value in tensor.detach().cpu().numpy().reshape(-1)]
    inner = " " * (indent + 8)
    rows = textwrap.fill(
        ", ".join(numbers) + ",",
        width=WIDTH,
        initial_indent=inner,
        subsequent_indent=inner,
        break_long_words=False,
        break_on_hyphens=False,
    )
    pad = " " * indent
    return (
        f"torch.tensor(\n{pad}    [\n{rows}\n{pad}    ],\n{pad}    dtype=torch.float32,\n"
        f"{pad}).reshape({tuple(tensor.shape)})"
    )


def record_literal(record: NamedTuple) -> str:
    """Return a call that rebuilds a NamedTuple of numbers, one field per line."""
    fields = "".join(f"    {name}={value!r},\n" for name, value in record._asdict().items())
    return f"{type(record).__name__}(\n{fields})"


def _restores(text, value):
    double = float(text)
    return abs(double) <= _LARGEST and np.float32(double) == value
