"""What the controller sees of each parameter tensor: dimensionless numbers of order one.

Cosines show whether gradients agree over time, and how many singular values of the momentum matter.
The overshoot shows whether steps are too long. The ratio of momentum to gradient separates signal
from noise. Ratios to the weights' own size show how large a step is. A constant factor on the loss
changes none of them.
"""

import math

import torch

from policy.rule.layout import squares
from policy.rule.scalars import asinh, trailing
from policy.rule.update import correction

# Offset and unit of each log ratio, which make typical values of order one. The first ratio becomes
# -1 for gradients that are noise and 1 for equal ones.
LOG_RATIOS = ((0.75, 0.75), (2.5, 2.0), (3.0, 2.0), (6.0, 2.0), (7.0, 2.0))
# Indices of these among the sums of tensor_sums.
GRADIENT, DRIFT, MOMENTUM_DIRECTION, GRADIENT_DRIFT = 0, 2, 6, 7
OVERSHOOT = 2  # index of that among the features
# Weights of the overshoot: steps past the minimum do little harm, since averaged weights are
# tested; steps that are too short lose time.
TOO_LONG, TOO_SHORT = 0.65, 5.625
TINY = 1e-30
TINY_SQUARE = 1e-30  # under a root: its derivative at zero stays finite


def tensor_sums(layout, carry, gradient, direction):
    """Return sums of squares and products over each tensor, ``[8, *lead, tensors]``.

    Args:
        layout: :class:`policy.rule.layout.Layout`.
        carry: :class:`policy.rule.step.Carry`, whose momentum holds ``gradient``.
        gradient, direction: ``[*lead, rows, width]``, the latter of :mod:`policy.rule.orthogonal`.
    """
    return layout.sums(*carry.buffers, gradient, direction, of=_row_sums)


def _row_sums(weight, momentum, average, gradient, direction):
    """Return the sums over each row, ``[8, *lead, rows]``."""
    drift = weight - average
    squared = gradient, momentum, drift, direction, weight
    multiplied = (gradient, momentum), (momentum, direction), (gradient, drift)
    per_row = [squares(x) for x in squared] + [(a * b).sum(-1) for a, b in multiplied]
    return torch.stack(per_row, 0)


def overshoot(sums):
    """Return the cosine of the gradient and live minus averaged weights, ``[*lead, tensors]``.

    It is negative while the loss still falls in that direction, so that longer steps would have
    helped, and positive where steps went past the minimum: the hypergradient of the rate (Baydin et
    al. 2018, arXiv:1703.04782), over the last tenth of a run instead of one step. 0 if it is not
    finite.
    """
    gradient, drift = ((sums[i] + TINY_SQUARE).sqrt() for i in (GRADIENT, DRIFT))
    cosine = sums[GRADIENT_DRIFT] / (gradient * drift + TINY)
    return cosine.masked_fill(cosine != cosine, 0.0)


def tensor_features(layout, step, sums, rates, overshot):
    """Return the features ``[*lead, tensors, TENSOR_FEATURES]``.

    Args:
        layout, step: as above, the latter a :class:`policy.rule.step.Carry`'s.
        sums: of :func:`tensor_sums`.
        rates: ``[*lead, tensors]``, those of the previous step.
        overshot: ``[*lead, tensors]``, :func:`overshoot` averaged over time, since that of one
            batch is mostly noise.
    """
    g, m, d, o, weight = (sums[:5] + TINY_SQUARE).sqrt().unbind(0)
    moved, root = rates * o, layout.sizes.sqrt().expand_as(g)
    cosines = sums[5:7] / (torch.stack([g * m, m * o], 0) + TINY)
    agreements = torch.stack([*cosines.unbind(0), _curved(overshot)], -1)
    above = torch.stack([m / trailing(correction(step), 1), weight, d, moved, moved], -1)
    below = torch.stack([g, root, weight, weight, root], -1)
    offset, unit = _constants(layout)
    ratios = (torch.log((above + TINY) / (below + TINY)) + offset) / unit
    described = _descriptors(layout).expand(g.shape + (5,))
    return bounded(torch.cat([agreements, ratios, described], -1))


def _curved(overshot):
    told = asinh(20 * overshot) / 2
    return TOO_LONG * told.clamp(min=0.0) + TOO_SHORT * told.clamp(max=0.0)


def bounded(features):
    """Replace NaN by zero and clamp the rest to [-4, 4], the range of the controller's inputs."""
    return features.masked_fill(features != features, 0.0).clamp(-4.0, 4.0)


def _constants(layout):
    """Return offset and unit of each log ratio, made once per layout."""
    if not hasattr(layout, "log_ratios"):
        offset, unit = zip(*LOG_RATIOS)
        layout.log_ratios = layout.sizes.new_tensor(offset), layout.sizes.new_tensor(unit)
    return layout.log_ratios


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
