"""Functions of tensors or of Python's floats.

Meta-training steps many networks at once, so its step counts and losses are tensors. A submission
steps one network and keeps these numbers on the host, which saves kernel calls.
"""

import math

import torch


def is_tensor(x):
    """Whether ``x`` is a tensor rather than a number."""
    return torch.is_tensor(x)


def power(base, x):
    """``base ** x`` for a number ``base``."""
    return torch.exp(x * math.log(base)) if is_tensor(x) else math.exp(x * math.log(base))


def log(x):
    """Natural logarithm."""
    return torch.log(x) if is_tensor(x) else math.log(x)


def sqrt(x):
    """Square root."""
    return torch.sqrt(x) if is_tensor(x) else math.sqrt(x)


def tanh(x):
    """Hyperbolic tangent."""
    return torch.tanh(x) if is_tensor(x) else math.tanh(x)


def sign(x):
    """-1, 0 or 1, or 1 with the sign of zero for a number: it is only ever a factor."""
    return torch.sign(x) if is_tensor(x) else math.copysign(1.0, x)


def asinh(x):
    """Inverse hyperbolic sine: linear near zero, logarithmic far out, odd."""
    magnitude = abs(x)
    return sign(x) * log(magnitude + sqrt(magnitude * magnitude + 1))


def clamp(x, low=-math.inf, high=math.inf):
    """Return ``x`` cut to ``[low, high]``; NaN stays."""
    if is_tensor(x):
        return x.clamp(low, high)
    return low if x < low else high if x > high else x


def choose(condition, a, b):
    """Return ``a`` where ``condition``, else ``b``."""
    return torch.where(condition, a, b) if is_tensor(condition) else a if condition else b


def stacked(values):
    """``[*lead, values]``; in float64 on the CPU if all are numbers."""
    like = next((x for x in values if is_tensor(x)), None)
    if like is None:
        return torch.tensor(values, dtype=torch.float64)
    return torch.stack([x if is_tensor(x) else torch.full_like(like, x) for x in values], -1)


def trailing(x, axes):
    """Return ``[*lead]`` with ``axes`` more axes of size one; a number unchanged."""
    return x[(Ellipsis,) + (None,) * axes] if is_tensor(x) else x
