"""The LSTM that turns features into learning rates; one set of weights serves all tensors.

Each parameter tensor is one element of the LSTM's batch, with one decision every ``stride`` steps.
(Andrychowicz et al. 2016 share an optimizer over coordinates in the same way.) Tensors share
information through the mean hidden state, which is part of every tensor's input.
"""

import math
from typing import NamedTuple

import torch

from policy.rule.features import (
    GRADIENT_DRIFT,
    MOMENTUM_DIRECTION,
    overshoot,
    tensor_features,
    tensor_sums,
)
from policy.rule.scalars import choose, trailing
from policy.rule.signal import global_features, loss_to_lose, restraint
from policy.rule.spec import FEATURES
from policy.rule.units import natural_units
from policy.rule.update import averaging, correction

MAX_LOG = 7.0  # outputs stay within e^7 of one
# Largest rise of an output from one decision to the next. The first steps of a large network agree
# with each other, which asks for higher rates, until one step goes too far.
RISE = math.log(1.25)
# Largest share of the loss that one step may aim to take, to first order. Where curvature is high,
# as in networks of sines, a step that aims at all of it ruins the weights.
FARTHEST_AIM = 0.25
MOST_AIM = 100.0  # times the loss: such gradients are not those of the loss, and bound nothing
LARGEST_EXCESS = 1e15  # keeps averages of it finite
# Factor of the linear path from features to rates, which training finds long before a path through
# the LSTM. With it, equal perturbations of both paths have similar effects.
SKIP = 0.6


class Memory(NamedTuple):
    """What the controller remembers, each ``[*lead, tensors, ...]``."""

    features: torch.Tensor  # [..., FEATURES], those of the last decision
    hidden: torch.Tensor  # [..., hidden]
    cell: torch.Tensor  # [..., hidden]
    output: torch.Tensor  # [...], log rate over base rate times unit, before it is lowered
    unit: torch.Tensor  # [...], natural size of a step, fixed at the start
    overshot: torch.Tensor  # [...], cosine of gradient and drift, averaged
    excess: torch.Tensor  # [*lead], loss of the live weights minus that of their average
    restraint: torch.Tensor  # [*lead], by how much log rates fall where the loss bounces
    overreach: torch.Tensor  # [*lead], log of the aim over FARTHEST_AIM, if that is exceeded


def start_memory(spec, layout, weight):
    """Return the memory at step 0, for initial weights ``[*lead, rows, width]``."""
    unit = natural_units(layout, weight)
    lead = tuple(unit.shape)
    return Memory(
        unit.new_zeros(lead + (FEATURES,)),
        unit.new_zeros(lead + (spec.hidden,)),
        unit.new_zeros(lead + (spec.hidden,)),
        torch.zeros_like(unit),
        unit,
        torch.zeros_like(unit),
        *(unit.new_zeros(lead[:-1]) for _ in range(3)),
    )


def rates_of(spec, memory):
    """Return the learning rates ``[*lead, tensors]`` that the memory holds."""
    log_rate = memory.output - trailing(memory.restraint + memory.overreach, 1)
    return spec.base_rate * torch.exp(log_rate) * memory.unit


def decide(spec, weights, layout, carry, gradient, direction):
    """Return the memory after one decision, which holds the new rates.

    Args:
        weights: name -> ``[*lead, *shape]``, shapes in :func:`policy.rule.spec.weight_shapes`.
        carry: :class:`policy.rule.step.Carry` that holds this step's gradient and loss.
        gradient, direction: ``[*lead, rows, width]``, the latter of :mod:`policy.rule.orthogonal`.
    """
    memory = carry.memory
    sums = tensor_sums(layout, carry, gradient, direction)
    overshot, excess = _averages(spec, carry, sums)
    rates = carry.multiplier * rates_of(spec, memory)
    per_tensor = tensor_features(layout, carry.step, sums, rates, overshot)
    shared = global_features(carry.signal, carry.step, excess)
    # NaN, which differs from itself, counts as zero.
    shared = shared.masked_fill(shared != shared, 0.0).clamp(-4.0, 4.0).unsqueeze(-2)
    shared = shared.expand(per_tensor.shape[:-1] + shared.shape[-1:])
    features = torch.cat([per_tensor, shared], -1)
    hidden, cell, output = respond(spec, weights, memory, features, carry.step < 1.5)
    seen = memory.unit, overshot, excess, restraint(carry.signal, excess)
    decided = Memory(features, hidden, cell, output, *seen, torch.zeros_like(excess))
    return decided._replace(overreach=_overreach(spec, carry, decided, sums))


def respond(spec, weights, memory, features, is_first):
    """Return the hidden state, cell and output of the controller for these features.

    Args:
        weights: name -> ``[*lead, *shape]``.
        memory: `Memory` of the previous decision.
        features: ``[*lead, tensors, FEATURES]``.
        is_first: whether this is the first decision, ``[*lead]`` or a bool.
    """
    mean_hidden = memory.hidden.mean(-2, keepdim=True).expand_as(memory.hidden)
    inputs = torch.cat([features, memory.output.unsqueeze(-1) / 2, mean_hidden, memory.hidden], -1)
    gates = torch.matmul(inputs, weights["lstm.weight"]) + weights["lstm.bias"].unsqueeze(-2)
    hidden, cell = _lstm_cell(gates, memory.cell)
    raw = torch.matmul(hidden, weights["head.weight"])
    raw = (raw + SKIP * torch.matmul(features, weights["skip.weight"])).squeeze(-1)
    output = (spec.gain * (raw + weights["head.bias"])).clamp(-MAX_LOG, MAX_LOG)
    risen = torch.min(output, memory.output + RISE)
    return hidden, cell, choose(trailing(is_first, 1), output, risen)


def _averages(spec, carry, sums):
    """Return the overshoot of each tensor and the excess of the loss, each an average.

    The excess is the loss of the live weights minus that of their average, to first order: gradient
    times drift. One batch's gradient is noisy, so both are averaged over decisions as the weights
    are over steps.
    """
    share = averaging((carry.step - 1) / spec.stride + 1)
    now = sums[GRADIENT_DRIFT].sum(-1)
    now = now.masked_fill(now != now, 0.0).clamp(-LARGEST_EXCESS, LARGEST_EXCESS)
    before = carry.memory
    overshot = before.overshot + trailing(share, 1) * (overshoot(sums) - before.overshot)
    return overshot, before.excess + share * (now - before.excess)


def _overreach(spec, carry, memory, sums):
    """Return by how much log rates must fall so that no step aims beyond FARTHEST_AIM: ``[*lead]``.

    The aim is the fall of the loss to first order, rate times direction times averaged gradient,
    over the loss: Polyak's step length, as an upper bound (Loizou et al. 2021, arXiv:2002.10542;
    with momentum Schaipp et al. 2024, arXiv:2305.07583).
    """
    rates = carry.multiplier * rates_of(spec, memory)
    fall = (rates * sums[MOMENTUM_DIRECTION]).sum(-1) / correction(carry.step)
    aim = fall / loss_to_lose(carry.signal, carry.step)
    aim = aim.masked_fill((aim > MOST_AIM) | (aim != aim), 0.0)
    return torch.log((aim / FARTHEST_AIM).clamp(min=1.0))


def _lstm_cell(gates, cell):
    """Return the next hidden state and cell of an LSTM (Hochreiter & Schmidhuber 1997) with forget
    gates (Gers et al. 2000), whose biases are raised by one."""
    entry, forget, candidate, out = gates.chunk(4, -1)
    cell = torch.sigmoid(forget + 1) * cell + torch.sigmoid(entry) * torch.tanh(candidate)
    return torch.sigmoid(out) * torch.tanh(cell), cell
