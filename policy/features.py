"""What the controller sees of each parameter tensor: dimensionless numbers of order one.

Cosines tell whether gradients agree over time, root mean squares of the Adam directions tell signal
from noise, ratios to the weight's own size tell how large a step is. None changes when the loss is
multiplied by a constant.
"""

import math

import torch

from policy.update import corrections, scale

TINY = 1e-20
TINY_SQUARE = 1e-30  # under a root: its derivative at zero stays finite


def tensor_features(layout, buffers, gradient, step, rates):
    """Features ``[*lead, tensors, TENSOR_FEATURES]``.

    Args:
        layout: :class:`policy.layout.Layout`.
        buffers: :class:`policy.update.Buffers`, moments already holding ``gradient``.
        gradient: ``[*lead, rows, width]``.
        step: ``[*lead]``, counts from 1.
        rates: ``[*lead, tensors, DIRECTIONS]``, those of the step before.
    """
    fast, slow, _ = corrections(step)
    denominator = scale(buffers, step)
    drift = buffers.weight - buffers.average

    def norm(matrix):
        return (layout.sums(matrix * matrix) + TINY_SQUARE).sqrt()

    def cosine(a, b, norms):
        return layout.sums(a * b) / (norms + TINY)

    root = layout.sizes.sqrt()
    g, m, s, d = norm(gradient), norm(buffers.fast), norm(buffers.slow), norm(drift)
    weight = norm(buffers.weight)
    step_fast = norm(buffers.fast / denominator) / fast.unsqueeze(-1)
    step_slow = norm(buffers.slow / denominator) / slow.unsqueeze(-1)
    moved = rates[..., 0] * step_fast + rates[..., 1] * step_slow
    measured = [
        cosine(gradient, buffers.fast, g * m),
        cosine(buffers.fast, buffers.slow, m * s),
        cosine(buffers.slow, drift, s * d),
        cosine(gradient, drift, g * d),
        _log_ratio(g, norm(denominator), 0.0, 2.0),
        _log_ratio(step_fast, root, 1.0, 1.5),
        _log_ratio(step_slow, root, 1.0, 1.5),
        _log_ratio(weight, root, 2.5, 2.0),
        _log_ratio(d, weight, 3.0, 2.0),
        _log_ratio(moved, weight, 6.0, 2.0),
        _log_ratio(moved, root, 7.0, 2.0),
    ]
    described = _descriptors(layout).expand(measured[0].shape + (5,))
    return bounded(torch.cat([torch.stack(measured, -1), described], -1))


def bounded(features):
    """NaN to zero, the rest to [-4, 4]: no input can throw the controller off its scale."""
    return features.masked_fill(features != features, 0.0).clamp(-4.0, 4.0)


def _log_ratio(a, b, offset, unit):
    return (torch.log((a + TINY) / (b + TINY)) + offset) / unit


def _descriptors(layout):
    """``[tensors, 5]``: log size, log fan-in, matrix or not, depth, log number of tensors."""
    if not hasattr(layout, "descriptors"):
        last = max(len(layout) - 1, 1)
        rows = []
        for i, (shape, n) in enumerate(zip(layout.shapes, layout.numels)):
            rows.append(
                [
                    math.log(max(n, 1)) / 5 - 1,
                    math.log(layout.fan_ins[i]) / 4,
                    1.0 if len(shape) > 1 else -1.0,
                    2.0 * i / last - 1,
                    math.log(len(layout)) / 2 - 1,
                ]
            )
        layout.descriptors = torch.tensor(
            rows, dtype=layout.sizes.dtype, device=layout.sizes.device
        )
    return layout.descriptors
