"""The natural size of a step of each tensor. Learned rates are multiples of it."""

import torch

from policy.rule.layout import squares

REFERENCE_FAN = 33.0
REFERENCE = 0.1  # RMS of weights uniform in +-1/sqrt(fan-in) at that fan-in
MAX_UNIT = 4.0
SPECTRAL = 8.0  # an orthogonal step at a rate of 1e-3 is then 4 % of a matrix's spectral norm


def natural_units(layout, weight):
    """Return the natural step size of each tensor, ``[*lead, tensors]``.

    It is 1 for a vector. For a matrix or filter it is the RMS of the initial weights over
    `REFERENCE`, so that rescaling a tensor rescales its steps (relative steps as in Adafactor,
    Shazeer & Stern 2018, section 8), times a factor of the shape. The RMS is clamped from below to
    that of torch's own initial weights, ``layout.least_scale``, since small initial weights are
    chosen for the first forward pass and not for the length of steps; and from above to ``MAX_UNIT
    * REFERENCE``.

    With the factor of the shape, equal rates are equal shares of the spectral norm of random
    initial weights, ``RMS (sqrt(fan_in) + sqrt(fan_out))``. An orthogonal step is equally long
    along all singular vectors, and a batch determines a smaller share of them the more there are.
    So where the narrower side n of a matrix exceeds `REFERENCE_FAN`, the factor is multiplied by
    ``sqrt(REFERENCE_FAN / n)``. Filters are exempt: each sample uses them in many places.
    """
    rms = (layout.sums(weight, of=squares) / layout.sizes).sqrt()
    units = torch.max(rms, layout.least_scale).clamp(max=MAX_UNIT * REFERENCE) / REFERENCE
    units = units * _shape_factors(layout)
    return torch.where(layout.is_matrix, units, torch.ones_like(units))


def _shape_factors(layout):
    """Return ``[tensors]``; SPECTRAL for a square matrix of side REFERENCE_FAN or less."""
    factors = []
    for fan_in, shape in zip(layout.fan_ins, layout.shapes):
        narrow, wide = sorted((fan_in, max((shape or (1,))[0], 1)))
        factor = SPECTRAL * (1 + (narrow / wide) ** 0.5) / 2
        if len(shape) == 2:
            factor *= min((REFERENCE_FAN / narrow) ** 0.5, 1.0)
        factors.append(factor)
    return layout.sizes.new_tensor(factors)
