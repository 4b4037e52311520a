"""Detects whether tests depend on running statistics of batch normalisation.

These belong to the weights that were trained last. Other weights need their own, which cost some
forward passes.
"""

import torch

UNITS = 8  # least number of units with a gradient: fewer may all be orthogonal by chance
ORTHOGONAL = 0.03  # times the cosine of random vectors; it is 1e-4 with batch norm, 0.4 without


def may_normalise(state):
    """Return whether initial weights can be those of a network with normalisation layers.

    Gains start all equal, usually at one; of other vectors only biases at zero do. Torch 1.1 draws
    gains from [0, 1). A batch norm without gains is not detected here.
    """
    return any(_may_be_gains(p.detach()) for p in state if p.dim() == 1 and p.numel() > 1)


def _may_be_gains(vector):
    if bool((vector == vector[0]).all()):
        return bool(vector[0] != 0)
    return len(vector) >= UNITS and bool((vector >= 0).all())


@torch.no_grad()
def has_batch_norm(state, gradients):
    """Return whether some tensor's gradient is orthogonal to the weights of each single unit.

    Batch norm removes the scale of each unit (Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.3),
    so the loss does not change along its weights; layer and group norm remove that of many units
    together. A batch norm whose input is not proportional to the weights, or to weights and bias,
    as behind a tanh, is not detected here.

    Args:
        state: the weights ``[units, ...]``, matrices or filters; vectors behind them are biases.
        gradients: those of a training batch at these weights; None where there is none.
    """
    pairs = [(p, g) for p, g in zip(state, gradients) if g is not None and not g.is_sparse]
    return any(_is_orthogonal(*rows) for rows in pairs if rows[0].dim() > 1) or any(
        _is_orthogonal(*_with_biases(rows, biases))
        for rows, biases in zip(pairs, pairs[1:])
        if rows[0].dim() > 1 and biases[0].shape == rows[0].shape[:1]
    )


def _with_biases(rows, biases):
    """Return weights and gradients of each unit with its bias: a ReLU before the normalisation
    keeps the scale of both together."""
    return [
        torch.cat([row.flatten(1).float(), bias.float().unsqueeze(1)], 1)
        for row, bias in zip(rows, biases)
    ]


def _is_orthogonal(weight, gradient):
    weight, gradient = weight.flatten(1).float(), gradient.flatten(1).float()
    lengths = weight.norm(dim=1) * gradient.norm(dim=1)
    if weight.shape[1] < 2 or int((lengths > 0).sum()) < UNITS:
        return False
    cosine = (weight * gradient).sum(1).abs().sum() / lengths.sum()
    return bool(cosine * weight.shape[1] ** 0.5 < ORTHOGONAL)
