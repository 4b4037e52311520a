"""The LSTM that turns features into learning rates; one set of weights serves all tensors.

Each parameter tensor is one element of the LSTM's batch (Andrychowicz et al. 2016 share an
optimizer over coordinates in this way; here it is over tensors, at one decision per ``stride``
steps). Tensors tell each other of their state by the mean hidden state, which is part of every
tensor's input.
"""

import math
from typing import NamedTuple

import torch

from policy.rule.features import GRADIENT_DRIFT, overshoot, tensor_features, tensor_sums
from policy.rule.scalars import choose, clamp, trailing
from policy.rule.signal import global_features
from policy.rule.units import REFERENCE_FAN, natural_units
from policy.rule.update import averaging

MAX_LOG = 7.0  # outputs stay within e^7 of one
# From one decision to the next an output rises no more: the first steps of a large network agree
# with each other, which asks for higher rates, until one of these has gone too far.
RISE = math.log(1.25)
FIRST_DECISIONS = 2  # that tell how short first steps were; before the very first nothing moved
TOO_SHORT_FROM = 0.1  # an early overshoot as far below zero; twice as far, and all is allowed
ALLOWED = math.log(1.75)  # at most, on orthogonal rates of matrices
LARGEST_EXCESS = 1e15  # its own averages stay finite
# Features also act directly on the rates: evolution strategies find a linear dependence long before
# one that runs through the LSTM. The factor keeps equal perturbations of both paths alike.
SKIP = 0.6


class Memory(NamedTuple):
    """What the controller remembers, each ``[*lead, tensors, ...]``."""

    hidden: torch.Tensor  # [..., hidden]
    cell: torch.Tensor  # [..., hidden]
    output: torch.Tensor  # [..., DIRECTIONS], log rate over base rate times unit
    unit: torch.Tensor  # [..., DIRECTIONS], natural size of a step, fixed at the start
    overshot: torch.Tensor  # [...], cosine of gradient and drift
    early: torch.Tensor  # [*lead], mean of the matrices' overshoot in the first steps
    excess: torch.Tensor  # [*lead], loss of the live weights over that of their average
    allowance: torch.Tensor  # [..., DIRECTIONS], log of a factor of the rate


def start_memory(spec, layout, weight):
    """Memory at step 0, for initial weights ``[*lead, rows, width]``."""
    unit = natural_units(layout, weight)
    lead = tuple(unit.shape[:-1])
    return Memory(
        unit.new_zeros(lead + (spec.hidden,)),
        unit.new_zeros(lead + (spec.hidden,)),
        torch.zeros_like(unit),
        unit,
        unit.new_zeros(lead),
        unit.new_zeros(lead[:-1]),
        unit.new_zeros(lead[:-1]),
        torch.zeros_like(unit),
    )


def of_adam(memory):
    """The memory with the base rate for Adam's fast direction, of whatever tensor, and 0 for the
    others."""
    unit = torch.zeros_like(memory.unit)
    unit[..., 0] = 1.0
    return memory._replace(unit=unit)


def rates_of(spec, memory):
    """Learning rates ``[*lead, tensors, DIRECTIONS]`` that the memory holds."""
    return spec.base_rate * torch.exp(memory.output) * memory.unit * torch.exp(memory.allowance)


def allow(layout, early):
    """Log of a factor of each rate, ``[*lead, tensors, DIRECTIONS]``; 0 for Adam's directions.

    An orthogonal step is as long along every singular vector, and the more of these a matrix has,
    the smaller the share that a batch can tell from noise. So where the narrower side n is above
    REFERENCE_FAN, the orthogonal rate is ``sqrt(REFERENCE_FAN / n)`` of what it would be. But where
    the first steps were far too short, as they are on recurrent networks, which ``early``, of shape
    ``[*lead]``, tells, the rates of all matrices rise. Filters, which are met at many places of
    each sample, are let be.
    """
    short = ((-early - TOO_SHORT_FROM) / TOO_SHORT_FROM).clamp(0.0, 1.0)[..., None, None]
    restrained, raised = _allowances(layout)
    return restrained + short * (raised - restrained)


def _allowances(layout):
    """Least and largest, ``[tensors, DIRECTIONS]`` each. Made once per layout."""
    if not hasattr(layout, "allowances"):
        sides = [
            min(fan_in, shape[0]) if len(shape) == 2 else None
            for fan_in, shape in zip(layout.fan_ins, layout.shapes)
        ]
        least = [-math.log(max((side or 0) / REFERENCE_FAN, 1.0)) / 2 for side in sides]
        largest = [0.0 if side is None else ALLOWED for side in sides]
        layout.allowances = [
            layout.sizes.new_tensor([[0.0, 0.0, log] for log in logs]) for logs in (least, largest)
        ]
    return layout.allowances


def decide(spec, weights, layout, carry, gradient, direction, target):
    """One decision: the memory after it, which holds the new rates.

    Args:
        weights: name -> ``[*lead, *shape]``, shapes in :func:`policy.rule.spec.weight_shapes`.
        carry: :class:`policy.rule.step.Carry` that holds this step's gradient and loss.
        gradient, direction: ``[*lead, rows, width]``, the latter of :mod:`policy.rule.orthogonal`.
        target: training loss to reach, ``[*lead]`` or a number (:func:`policy.rule.signal.aim`).
    """
    memory = carry.memory
    sums = tensor_sums(layout, carry, gradient, direction)
    overshot, excess = _averages(spec, carry, sums)
    early = _early_overshoot(spec, layout, carry, overshot)
    per_tensor = tensor_features(layout, carry.step, sums, rates_of(spec, memory), overshot)
    shared = global_features(carry.signal, carry.step, target, excess)
    # NaN compares unequal to itself: a loss that is not a number says nothing.
    shared = shared.masked_fill(shared != shared, 0.0).clamp(-4.0, 4.0).unsqueeze(-2)
    mean_hidden = memory.hidden.mean(-2, keepdim=True)
    count = per_tensor.shape[:-1]
    features = torch.cat([per_tensor, shared.expand(count + shared.shape[-1:])], -1)
    inputs = torch.cat(
        [
            features,
            memory.output / 2,
            mean_hidden.expand(count + mean_hidden.shape[-1:]),
            memory.hidden,
        ],
        -1,
    )
    gates = torch.matmul(inputs, weights["lstm.weight"]) + weights["lstm.bias"].unsqueeze(-2)
    hidden, cell = _lstm_cell(gates, memory.cell)
    raw = torch.matmul(hidden, weights["head.weight"]) + weights["head.bias"].unsqueeze(-2)
    raw = raw + SKIP * torch.matmul(features, weights["skip.weight"])
    output = (spec.gain * raw).clamp(-MAX_LOG, MAX_LOG)
    is_first = trailing(carry.step < 1.5, 2)
    output = choose(is_first, output, torch.min(output, memory.output + RISE))
    allowance = allow(layout, early)
    return Memory(hidden, cell, output, memory.unit, overshot, early, excess, allowance)


def _averages(spec, carry, sums):
    """Overshoot of each tensor, and excess of the loss over that of the averaged weights, to first
    order: gradient times drift.

    Averaged over decisions as the weights are over steps, since one batch's gradient is noisy.
    """
    share = averaging((carry.step - 1) / spec.stride + 1)
    now = sums[GRADIENT_DRIFT].sum(-1)
    now = now.masked_fill(now != now, 0.0).clamp(-LARGEST_EXCESS, LARGEST_EXCESS)
    before = carry.memory
    overshot = before.overshot + trailing(share, 1) * (overshoot(sums) - before.overshot)
    return overshot, before.excess + share * (now - before.excess)


def _early_overshoot(spec, layout, carry, overshot):
    """``[*lead]``, mean over matrices and over FIRST_DECISIONS decisions after the very first."""
    turn = (carry.step - 1) / spec.stride
    share = choose(turn < FIRST_DECISIONS + 0.5, 1 / clamp(turn, 1.0), 0 * turn)
    before = carry.memory.early
    return before + share * ((overshot * _matrix_shares(layout)).sum(-1) - before)


def _matrix_shares(layout):
    """Weight of each tensor in a mean over matrices, ``[tensors]``. Made once per layout."""
    if not hasattr(layout, "matrix_shares"):
        matrices = layout.is_matrix.to(layout.sizes.dtype)
        layout.matrix_shares = matrices / matrices.sum().clamp(min=1)
    return layout.matrix_shares


def _lstm_cell(gates, cell):
    """Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, its bias plus one."""
    entry, forget, candidate, out = gates.chunk(4, -1)
    cell = torch.sigmoid(forget + 1) * cell + torch.sigmoid(entry) * torch.tanh(candidate)
    return torch.sigmoid(out) * torch.tanh(cell), cell
