"""A third update direction: momentum with its scale taken out per matrix rather than per entry.

The momentum is Nesterov's (Dozat 2016), of decay 0.9: the less it lags, the higher the rates can
be.

Of a matrix or filter, reshaped to ``[out, fan-in]``, all singular values of the momentum become
about one: the steepest descent where a step is measured by its spectral norm (Carlson et al. 2015;
Muon, Jordan et al. 2024). Of a vector, where that norm is the Euclidean one, the momentum is
divided by it. Both are then scaled to entries of root mean square one, as Adam's directions have.

A matrix whose narrower side is above ``policy.layout.BLOCK`` is divided along it into blocks, each
with singular values of its own (as in MuonBP, Khaled et al. 2025, arXiv:2510.16981): the work
for an entry, which grows with that side, then has a bound.

The singular values are moved by an odd polynomial, near one on [1/200, 1] of the norm, made of
rounds as in Polar Express (Amsel et al. 2025, arXiv:2505.16932): each has the one that is nearest
to one on the interval which the round before leaves, though none smaller than 1/42 of its end.
Values are within 0.1 of one. It is evaluated in the Gram matrix, whose side is the narrower one,
so that two products with the block itself suffice. Products are all that it takes, as accelerators
like it, and rounding their factors to ten bits does no harm.
"""

import torch

from policy.layout import concatenate, squares
from policy.precision import coarse_products
from policy.update import FIRST_DECAYS

# Of p(x) = a x + b x^3 + c x^5, a row for each round.
ROUNDS = (
    (7.5678, -21.5502, 15.8011),
    (4.1611, -3.5825, 0.7942),
    (3.2286, -2.4804, 0.5303),
    (2.2000, -1.5770, 0.4089),
)
SLACK = 1.01  # a norm that rounding puts above one would be thrown far out
LEAST_NORM_SQUARE = 1e-30


def orthogonal_direction(layout, fast, gradient, out=None):
    """The direction ``[*lead, rows, width]``, a matrix that can be differentiated.

    Args:
        layout: :class:`policy.layout.Layout`.
        fast: ``[*lead, rows, width]``, the fast moment, which already holds the gradient.
        gradient: likewise.
        out: matrix to overwrite with it, which saves a large network the cost of fresh memory; None
            for a new one.
    """
    momentum = torch.lerp(gradient, fast, FIRST_DECAYS[0], out=out)
    norms = (layout.sums(momentum, of=squares) + LEAST_NORM_SQUARE).sqrt()
    factors = layout.per_row((_wanted_norms(layout) / norms).unsqueeze(-1))
    if momentum.requires_grad:  # copies only for autograd, which needs the factors of each product
        scaled = momentum * factors
        direction = scaled.clone()
    else:
        scaled = direction = momentum.mul_(factors)
    # What is no matrix is done.
    with coarse_products(direction.device):
        for stacks in layout.alike.values():
            matrices = [stack.of(scaled) for stack in stacks]
            found = orthogonalise([m.reshape((-1,) + m.shape[-2:]) for m in matrices])
            for stack, part in zip(stacks, found):
                place = stack.of(direction)
                place.copy_(part.view(place.shape))
    return direction


def _wanted_norms(layout):
    """Norm of each tensor's momentum when its singular values are made one, ``[tensors]``. Made
    once per layout."""
    if not hasattr(layout, "wanted_norms"):
        ones = torch.ones_like(layout.sizes)
        layout.wanted_norms = torch.where(layout.is_matrix, ones / SLACK, layout.sizes.sqrt())
    return layout.wanted_norms


def orthogonalise(stacks):
    """Singular values become about ``sqrt(n)``, n the larger side, and so entries of root mean
    square one.

    Args:
        stacks: ``[k, *sides]`` each, the smaller side the same in all of them, of spectral norms
            below one.
    """
    factors = _factors(concatenate([_gram(stack) for stack in stacks], 0))
    factors = factors.split([len(stack) for stack in stacks], 0)
    return [_multiply(factor, stack) for factor, stack in zip(factors, stacks)]


def _gram(stack):
    rows = stack.transpose(1, 2) if _is_tall(stack) else stack
    return torch.bmm(rows, rows.transpose(1, 2))


def _multiply(factor, stack):
    factor = factor * max(stack.shape[1:]) ** 0.5
    return torch.bmm(stack, factor) if _is_tall(stack) else torch.bmm(factor, stack)


def _is_tall(stack):
    return stack.shape[1] > stack.shape[2]


def _factors(gram):
    """What matrices of norms below one are to be multiplied by, from their Gram matrices ``[k, m,
    m]``."""
    product = None
    for i, (a, b, c) in enumerate(ROUNDS):
        # The round's factor is a + powers; all commute, being polynomials in one matrix.
        powers = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        if product is None:
            product = _shifted(powers, a)
        else:
            product = torch.baddbmm(product, powers, product, beta=a)
        if i + 1 < len(ROUNDS):
            gram = torch.baddbmm(gram, powers, gram, beta=a)
            gram = torch.baddbmm(gram, gram, powers, beta=a)
    return product


def _shifted(matrices, shift):
    """``[k, m, m]`` plus a multiple of the identity, which is not made anew at each step."""
    shifted = matrices.clone()
    shifted.diagonal(0, 1, 2).add_(shift)
    return shifted
