"""The update direction: momentum with its scale taken out per tensor.

The momentum is Nesterov's (Dozat 2016), of decay 0.9: with less lag, rates can be higher.

A matrix or filter is reshaped to ``[out, fan-in]``, and all singular values of its momentum become
about one: steepest descent under the spectral norm (Carlson et al. 2015; Muon, Jordan et al. 2024).
For a vector that norm is the Euclidean one, by which its momentum is divided. Both are then scaled
to entries of root mean square one.

The work per entry grows with the narrower side. A divided layout bounds it; each block then has its
own singular values (as in MuonBP, Khaled et al. 2025, arXiv:2510.16981).

An odd function, near one on [1/200, 1] of the norm, moves the singular values. It is evaluated in
the Gram matrix of the narrower side, so only two products with the matrix itself are needed. Two
functions have nearly the same values and the same slope at zero. The side and the device decide
which is cheaper:

- Polynomials, as in Polar Express (Amsel et al. 2025, arXiv:2505.16932). Each round uses the one
  that is nearest to one on the interval left by the previous round, which is taken to begin at 1/42
  of its end or above. Values are within 0.09 of one. It takes products only, which suits
  accelerators, and rounding their factors to ten bits does no harm.
- Zolotarev's rational function of type (5, 4) (Nakatsukasa & Freund 2016,
  doi:10.1137/140990334, section 3), as two shifted inverses, by Cholesky factors. Values are within
  0.1 of one. A CPU with bfloat16 uses it for the product with the matrix, which adds random errors
  of some hundredths of the direction's norm.

A CPU that multiplies bfloat16 in tiles uses polynomials for large matrices, too. Eight bits hold
the small singular values of a matrix, but not those of its Gram matrix. So the first rounds use the
matrix itself, as in Muon, until they are large enough.
"""

import torch

from policy.rule.layout import CACHED, concatenate, squares
from policy.rule.precision import coarse_products, has_bfloat16, has_tiles
from policy.rule.update import DECAY

# Of p(x) = a x + b x^3 + c x^5, a row for each round.
ROUNDS = (
    (7.5678, -21.5502, 15.8011),
    (4.1611, -3.5825, 0.7942),
    (3.2286, -2.4804, 0.5303),
    (2.2000, -1.5770, 0.4089),
)
# Of r(x) = RATIONAL x (1 + sum of weight / (x^2 + shift)), a row (weight, shift) for each term.
RATIONAL = 0.849001603
POLES = ((2.0350980e-2, 7.8532463e-5), (2.8000543e-1, 1.92063948e-2))
INVERSES_FROM = 112  # side of a Gram matrix from which a CPU inverts faster than it multiplies
HALVES_FROM = 256  # side of a Gram matrix from which a CPU computes it faster in halves
SLACK = 1.01  # keeps norms below one despite rounding: above, the polynomials diverge
LEAST_NORM_SQUARE = 1e-30
SEEN = 16  # entries of each row that nearly always show a gradient: all would cost a CPU 60 us


def orthogonal_direction(layout, momentum, gradient, out=None):
    """Return the direction ``[*lead, rows, width]``, which can be differentiated.

    Args:
        layout: :class:`policy.rule.layout.Layout`.
        momentum: ``[*lead, rows, width]``, with the gradient already in it.
        gradient: ``[*lead, rows, width]``.
        out: matrix to overwrite, which saves large networks fresh memory; None for a new one.
    """
    ahead = torch.lerp(gradient, momentum, DECAY, out=out)  # Nesterov's
    norms = (layout.sums(ahead, of=squares) + LEAST_NORM_SQUARE).sqrt()
    wanted = _wanted_norms(layout) * _has_gradient(layout, gradient.detach())
    factors = layout.per_row(wanted / norms)
    if ahead.requires_grad:  # a copy, since autograd needs the factors of each product
        scaled = ahead * factors
        direction = scaled.clone()
    else:
        scaled = direction = ahead.mul_(factors)
    # Vectors are done.
    with coarse_products(direction.device):
        for stacks in layout.alike.values():
            matrices = [stack.of(scaled) for stack in stacks]
            found = orthogonalise([m.reshape((-1,) + m.shape[-2:]) for m in matrices])
            for stack, part in zip(stacks, found):
                place = stack.of(direction)
                place.copy_(part.view(place.shape))
    return direction


def _has_gradient(layout, gradient):
    """Return 0 for each tensor whose gradient is all zeros, else 1: ``[*lead, tensors]``, or a
    number for all. Such a tensor must not move: a normalised momentum does not fade."""
    if gradient.device.type == "cpu" and gradient.numel():
        some = gradient[..., :: max(layout.width // SEEN, 1)].norm(dim=-1)
        if float(some.min()) > 0:
            return 1.0
    return layout.sums(gradient, of=squares).sign()


def _wanted_norms(layout):
    """Return the norm that each tensor's momentum is scaled to first, ``[tensors]``, made once per
    layout."""
    if not hasattr(layout, "wanted_norms"):
        ones = torch.ones_like(layout.sizes)
        layout.wanted_norms = torch.where(layout.is_matrix, ones / SLACK, layout.sizes.sqrt())
    return layout.wanted_norms


def orthogonalise(stacks):
    """Return stacks with all singular values about ``sqrt(n)``, n the wider side, and so entries of
    root mean square one. Large matrices come in bfloat16 if the CPU has it.

    Args:
        stacks: ``[k, *sides]`` each, of spectral norms below one; all have the same narrower side.
    """
    wide = [stack.transpose(1, 2) if _is_tall(stack) else stack for stack in stacks]
    if _is_large(wide[0]) and wide[0].dtype == torch.float32 and has_tiles():
        found = [_in_tiles(matrices.bfloat16()) for matrices in wide]
    else:
        factors = _factors(concatenate([_products(matrices) for matrices in wide], 0))
        factors = factors.split([len(matrices) for matrices in wide], 0)
        found = [_multiply(factor, matrices) for factor, matrices in zip(factors, wide)]
    return [w.transpose(1, 2) if _is_tall(stack) else w for stack, w in zip(stacks, found)]


def _products(rows):
    """Return the products of all rows with each other, ``[k, m, n] -> [k, m, m]``. The result is
    symmetric: a CPU does not compute a quarter of a large one, and likewise in its halves. On an
    accelerator the number of kernels decides."""
    side = rows.shape[1]
    if side < HALVES_FROM or rows.device.type != "cpu":
        return torch.bmm(rows, rows.transpose(1, 2))
    upper, lower = rows.split([side // 2, side - side // 2], 1)
    corner = torch.bmm(upper, lower.transpose(1, 2))
    top = torch.cat([_products(upper), corner], 2)
    return torch.cat([top, torch.cat([corner.transpose(1, 2), _products(lower)], 2)], 1)


def _multiply(factor, wide):
    factor = factor * wide.shape[2] ** 0.5
    if _is_large(factor) and factor.dtype == torch.float32 and has_bfloat16():
        # The Gram matrix was float32: its small eigenvalues need all bits.
        factor, wide = factor.bfloat16(), wide.bfloat16()
    return torch.bmm(factor, wide)


def _in_tiles(wide):
    """Orthogonalise by polynomials in bfloat16. Products with a wide matrix take long, so it has
    one round of them instead of two, at the price of more noise."""
    first = 1 if wide.shape[2] > 2 * wide.shape[1] else 2
    for a, b, c in ROUNDS[:first]:
        gram = torch.bmm(wide, wide.transpose(1, 2))
        powers = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        wide = torch.baddbmm(wide, powers, wide, beta=a)
    gram = torch.bmm(wide, wide.transpose(1, 2))
    return torch.bmm(_polynomial(gram, ROUNDS[first:]) * wide.shape[2] ** 0.5, wide)


def _is_tall(stack):
    return stack.shape[1] > stack.shape[2]


def _factors(gram):
    """Return the factors that orthogonalise matrices of norms just below one, given their Gram
    matrices ``[k, m, m]``."""
    if _is_large(gram):
        return _rational(gram)
    together = len(gram) if gram.device.type != "cpu" else max(CACHED // gram.shape[1] ** 2, 1)
    return concatenate([_polynomial(some) for some in gram.split(together)], 0)


def _is_large(wide):
    """Return whether a CPU inverts Gram matrices ``[k, m, m]``, of matrices ``[k, m, n]``, faster
    than it multiplies them in float32."""
    return wide.shape[1] >= INVERSES_FROM and wide.device.type == "cpu"


def _polynomial(gram, rounds=ROUNDS):
    product = None
    for i, (a, b, c) in enumerate(rounds):
        # The round's factor is a + powers; all commute, being polynomials in one matrix.
        powers = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        if product is None:
            product = _shifted(powers, a)
        else:
            product = torch.baddbmm(product, powers, product, beta=a)
        if i + 1 < len(rounds):
            gram = torch.baddbmm(gram, powers, gram, beta=a)
            gram = torch.baddbmm(gram, gram, powers, beta=a)
    return product


def _rational(gram):
    gram = torch.where(gram == gram, gram, torch.zeros_like(gram))  # an inverse of NaN may raise
    inverses = [weight * _inverse(_shifted(gram, shift)) for weight, shift in POLES]
    return RATIONAL * _shifted(sum(inverses), 1.0)


def _inverse(matrices):
    """Return inverses of positive definite matrices ``[k, m, m]``. Old versions of torch have no
    batched Cholesky factors."""
    linalg = getattr(torch, "linalg", None)
    if not hasattr(linalg, "cholesky_ex"):
        return torch.inverse(matrices)
    return torch.cholesky_inverse(linalg.cholesky_ex(matrices)[0])


def _shifted(matrices, shift):
    """Return matrices ``[k, m, m]`` plus a multiple of the identity."""
    shifted = matrices.clone()
    shifted.diagonal(0, 1, 2).add_(shift)
    return shifted
