"""A third update direction: momentum with its scale taken out per matrix rather than per entry.

The momentum is Nesterov's (Dozat 2016), of decay 0.9: the less it lags, the higher the rates can
be.

Of a matrix or filter, reshaped to ``[out, fan-in]``, all singular values of the momentum become
about one: the steepest descent where a step is measured by its spectral norm (Carlson et al. 2015;
Muon, Jordan et al. 2024). Of a vector, where that norm is the Euclidean one, the momentum is
divided by it. Both are then scaled to entries of root mean square one, as Adam's directions have.

The singular values are moved by odd polynomials. These are evaluated in the Gram matrix, whose side
is the smaller one of the matrix, so that two products with the matrix itself suffice. As in Polar
Express (Amsel et al. 2025, arXiv:2505.16932), each round has the polynomial that is nearest to one
on the interval which the round before leaves, here of [1/200, 1], though none smaller than 1/42 of
its end: values from 1/200 of the norm on end within 0.09 of one.
"""

import torch

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


def orthogonal_direction(layout, fast, gradient):
    """The direction ``[*lead, rows, width]``, a new matrix that can be differentiated.

    Args:
        layout: :class:`policy.layout.Layout`.
        fast: ``[*lead, rows, width]``, the fast moment, which already holds the gradient.
        gradient: likewise.
    """
    momentum = FIRST_DECAYS[0] * fast + (1 - FIRST_DECAYS[0]) * gradient
    norms = (layout.sums(momentum * momentum) + LEAST_NORM_SQUARE).sqrt()
    direction = momentum * layout.per_row((_wanted_norms(layout) / norms).unsqueeze(-1))
    lead = direction.dim() - 2
    tensors = layout.unpack(direction)
    for alike in layout.alike:
        stacks = [torch.stack([_wide(tensors[i], lead) for i in same], 0) for same in alike]
        found = orthogonalise([stack.flatten(0, -3) for stack in stacks])
        for same, stack, matrices in zip(alike, stacks, found):
            for i, matrix in zip(same, matrices.view(stack.shape).unbind(0)):
                is_tall = tensors[i].shape[lead] > matrix.shape[-2]
                matrix = matrix.transpose(-1, -2) if is_tall else matrix
                tensors[i].copy_(matrix.reshape(tensors[i].shape))
    return direction


def _wanted_norms(layout):
    """Norm of each tensor's momentum when its singular values are made one, ``[tensors]``. Made
    once per layout."""
    if not hasattr(layout, "wanted_norms"):
        ones = torch.ones_like(layout.sizes)
        layout.wanted_norms = torch.where(layout.is_matrix, ones / SLACK, layout.sizes.sqrt())
    return layout.wanted_norms


def orthogonalise(matrices):
    """Singular values become about ``sqrt(n)``, and so entries of root mean square one.

    Args:
        matrices: ``[k, m, n]`` each, of one m <= n, of spectral norms below one.
    """
    grams = [torch.bmm(part, part.transpose(1, 2)) for part in matrices]
    factors = _factors(torch.cat(grams, 0)).split([len(gram) for gram in grams], 0)
    return [
        torch.bmm(factor, part) * part.shape[2] ** 0.5 for factor, part in zip(factors, matrices)
    ]


def _factors(gram):
    """What the matrices of these Gram matrices ``[k, m, m]`` are to be multiplied by."""
    product = None
    for i, (a, b, c) in enumerate(ROUNDS):
        # The round's factor is a + powers; all commute, being polynomials in one matrix.
        powers = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        if product is None:
            product = powers + a * torch.eye(gram.shape[1], dtype=gram.dtype, device=gram.device)
        else:
            product = torch.baddbmm(product, powers, product, beta=a)
        if i + 1 < len(ROUNDS):
            gram = torch.baddbmm(gram, powers, gram, beta=a)
            gram = torch.baddbmm(gram, gram, powers, beta=a)
    return product


def _wide(tensor, lead):
    """``[*lead, *shape]`` as a matrix that is not higher than wide."""
    matrix = tensor.flatten(lead + 1)
    return matrix.transpose(-1, -2) if matrix.shape[-2] > matrix.shape[-1] else matrix
