"""Detects whether tests depend on running statistics, as batch normalisation keeps them.

They belong to the weights that were trained last. Other weights need their own, which cost some
forward passes.
"""

import torch

UNITS = 8  # with a gradient, that a tensor must have: of fewer, all may happen to be orthogonal
ORTHOGONAL = 0.03  # of the cosine that random vectors have; 1e-4 with and 0.4 without batch norm


def may_normalise(state):
    """Return whether initial weights can be those of a network with normalisation layers.

    Their gains start all equal, usually at one, as no other vector does but biases at zero; torch
    1.1 draws them from [0, 1). A batch norm without gains goes unnoticed here.
    """
    return any(_may_be_gains(p.detach()) for p in state if p.dim() == 1 and p.numel() > 1)


def _may_be_gains(vector):
    if bool((vector == vector[0]).all()):
        return bool(vector[0] != 0)
    return len(vector) >= UNITS and bool((vector >= 0).all())


@torch.no_grad()
def has_batch_norm(state, gradients):
    """Return whether some tensor's gradient is orthogonal to the weights of each single unit.

    Batch norm takes out the scale of each unit (Ioffe & Szegedy 2015, arXiv:1502.03167, section
    3.3), so that the loss does not change along its weights; layer and group norm take out that of
    many units together. One whose input is not proportional to the weights, or to weights and
    bias, as behind a tanh, goes unnoticed here.

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
