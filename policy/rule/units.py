"""The natural size of a step of each tensor, of which learned rates are multiples."""

import torch

from policy.rule.layout import squares

REFERENCE_FAN = 33.0
REFERENCE = 0.1  # RMS of weights uniform in +-1/sqrt(fan-in) at that fan-in
MAX_UNIT = 4.0
SPECTRAL = 8.0  # an orthogonal step at a rate of 1e-3 is then 4 % of a matrix's spectral norm


def natural_units(layout, weight):
    """Return the natural step size of each tensor, ``[*lead, tensors]``.

    Of a vector: 1. Of a matrix or filter: the RMS of its initial weights over `REFERENCE` (relative
    steps as in Adafactor, Shazeer & Stern 2018, section 8; rescaling a tensor rescales its steps),
    times a factor of its shape. An RMS below that of torch's own initial weights,
    ``layout.least_scale``, counts as that: small initial weights are a choice for the first
    forward pass, not for the length of steps. One above ``MAX_UNIT * REFERENCE`` counts as this.

    The factor makes equal rates equal shares of the spectral norm
    ``RMS (sqrt(fan_in) + sqrt(fan_out))`` that random initial weights have. But an orthogonal step
    is as long along every singular vector, and the more of these a matrix has, the smaller the
    share that a batch determines well: where the narrower side n of a matrix is above
    `REFERENCE_FAN`, the factor is ``sqrt(REFERENCE_FAN / n)`` of that. Filters, which are met at
    many places of each sample, are exempt.
    """
    rms = (layout.sums(weight, of=squares) / layout.sizes).sqrt()
    units = torch.max(rms, layout.least_scale).clamp(max=MAX_UNIT * REFERENCE) / REFERENCE
    units = units * _shape_factors(layout)
    return torch.where(layout.is_matrix, units, torch.ones_like(units))


def _shape_factors(layout):
    """``[tensors]``; SPECTRAL for a square matrix of at most REFERENCE_FAN."""
    factors = []
    for fan_in, shape in zip(layout.fan_ins, layout.shapes):
        narrow, wide = sorted((fan_in, max((shape or (1,))[0], 1)))
        factor = SPECTRAL * (1 + (narrow / wide) ** 0.5) / 2
        if len(shape) == 2:
            factor *= min((REFERENCE_FAN / narrow) ** 0.5, 1.0)
        factors.append(factor)
    return layout.sizes.new_tensor(factors)
