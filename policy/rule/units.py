"""The natural size of a step of each tensor, of which learned rates are multiples."""

import torch

from policy.rule.layout import squares

REFERENCE_FAN = 33.0
REFERENCE = 0.1  # RMS of weights uniform in +-1/sqrt(fan-in) at that fan-in
MAX_UNIT = 4.0
SPECTRAL = 8.0  # an orthogonal step at a rate of 1e-3 is then 4 % of a matrix's spectral norm


def natural_units(layout, weight):
    """Return the natural step size of each tensor and direction, ``[*lead, tensors, DIRECTIONS]``.

    Of a vector: 1. Of a matrix or filter: the RMS of its initial weights over `REFERENCE` (relative
    steps as in Adafactor, Shazeer & Stern 2018, section 8; rescaling a tensor rescales its steps),
    times a factor of its shape. An RMS below that of torch's own initial weights,
    ``layout.least_scale``, counts as that: small initial weights are a choice for the first
    forward pass, not for the length of steps. One above ``MAX_UNIT * REFERENCE`` counts as this.

    The factor of the orthogonal direction makes equal rates equal shares of the spectral norm
    ``RMS (sqrt(fan_in) + sqrt(fan_out))`` that random initial weights have. But an orthogonal step
    is as long along every singular vector, and the more of these a matrix has, the smaller the
    share that a batch determines well: where the narrower side n of a matrix is above
    `REFERENCE_FAN`, the factor is ``sqrt(REFERENCE_FAN / n)`` of that. Filters, which are met at
    many places of each sample, are exempt.

    The factor of Adam's directions is the root of their alignment; it is about 1 for small nets. A
    step of equal entries has spectral norm ``sqrt(fan_in * fan_out)``, random entries have
    ``sqrt(fan_in) + sqrt(fan_out)``; so where gradients have rank one the step must shrink by
    ``1 / sqrt(fan_in) + 1 / sqrt(fan_out)`` (Yang, Simon & Bernstein 2023, arXiv:2310.17813), and
    where they are unlike each other, not at all. The root is the middle: wide transformers ask for
    more than none, wide LSTMs for less than all (see also Everett et al. 2024, arXiv:2407.05872).
    """
    rms = (layout.sums(weight, of=squares) / layout.sizes).sqrt()
    units = torch.max(rms, layout.least_scale).clamp(max=MAX_UNIT * REFERENCE) / REFERENCE
    units = units.unsqueeze(-1) * _shape_factors(layout)
    is_matrix = layout.is_matrix.unsqueeze(-1).expand_as(units)
    return torch.where(is_matrix, units, torch.ones_like(units))


def _shape_factors(layout):
    """``[tensors, DIRECTIONS]``; 1, 1, SPECTRAL for a square matrix of REFERENCE_FAN."""
    rows = []
    for fan_in, shape in zip(layout.fan_ins, layout.shapes):
        narrow, wide = sorted((fan_in, max((shape or (1,))[0], 1)))
        alignment = (narrow**-0.5 + wide**-0.5) / (2 * REFERENCE_FAN**-0.5)
        adam = alignment**0.5
        orthogonal = SPECTRAL * (1 + (narrow / wide) ** 0.5) / 2
        rows.append([adam, adam, orthogonal * restraint(fan_in, shape)])
    return layout.sizes.new_tensor(rows)


def restraint(fan_in, shape):
    """Factor of the orthogonal unit of a wide matrix."""
    if len(shape) != 2:
        return 1.0
    return min((REFERENCE_FAN / max(min(fan_in, shape[0]), 1)) ** 0.5, 1.0)
