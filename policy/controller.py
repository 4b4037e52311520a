"""The LSTM that turns features into learning rates; one set of weights serves all tensors.

Each parameter tensor is one element of the LSTM's batch (Andrychowicz et al. 2016 share an
optimizer over coordinates in this way; here it is over tensors, at one decision per ``stride``
steps). Tensors tell each other of their state by the mean hidden state, which is part of every
tensor's input.
"""

from typing import NamedTuple

import torch

from policy.features import tensor_features
from policy.signal import global_features
from policy.spec import DIRECTIONS

MAX_LOG = 7.0  # rates stay within e^7 of the base rate


class Memory(NamedTuple):
    """What the controller remembers, each ``[*lead, tensors, ...]``."""

    hidden: torch.Tensor  # [..., hidden]
    cell: torch.Tensor  # [..., hidden]
    output: torch.Tensor  # [..., DIRECTIONS], log rate over base rate


def start_memory(spec, layout, like):
    """Memory at step 0; ``like`` ``[*lead]`` gives leading axes, type and device."""
    lead = tuple(like.shape) + (len(layout),)
    return Memory(
        like.new_zeros(lead + (spec.hidden,)),
        like.new_zeros(lead + (spec.hidden,)),
        like.new_zeros(lead + (DIRECTIONS,)),
    )


def rates_of(spec, memory):
    """Learning rates ``[*lead, tensors, DIRECTIONS]`` that the memory holds."""
    return spec.base_rate * torch.exp(memory.output)


def decide(spec, weights, layout, memory, buffers, signal, gradient, step, target):
    """One decision: the memory after it, which holds the new rates.

    Args:
        weights: name -> ``[*lead, *shape]``, shapes in :func:`policy.spec.weight_shapes`.
        gradient: ``[*lead, rows, width]``; ``step``, ``target``: ``[*lead]``.
    """
    per_tensor = tensor_features(layout, buffers, gradient, step, rates_of(spec, memory))
    shared = global_features(signal, step, target)
    # NaN compares unequal to itself: a loss that is not a number says nothing.
    shared = shared.masked_fill(shared != shared, 0.0).clamp(-4.0, 4.0).unsqueeze(-2)
    mean_hidden = memory.hidden.mean(-2, keepdim=True)
    count = per_tensor.shape[:-1]
    inputs = torch.cat(
        [
            per_tensor,
            shared.expand(count + shared.shape[-1:]),
            memory.output / 2,
            mean_hidden.expand(count + mean_hidden.shape[-1:]),
            memory.hidden,
        ],
        -1,
    )
    gates = torch.matmul(inputs, weights["lstm.weight"]) + weights["lstm.bias"].unsqueeze(-2)
    hidden, cell = _lstm_cell(gates, memory.cell)
    raw = torch.matmul(hidden, weights["head.weight"]) + weights["head.bias"].unsqueeze(-2)
    return Memory(hidden, cell, (spec.gain * raw).clamp(-MAX_LOG, MAX_LOG))


def _lstm_cell(gates, cell):
    """Hochreiter & Schmidhuber 1997 with the forget gate of Gers et al. 2000, its bias plus one."""
    entry, forget, candidate, out = gates.chunk(4, -1)
    cell = torch.sigmoid(forget + 1) * cell + torch.sigmoid(entry) * torch.tanh(candidate)
    return torch.sigmoid(out) * torch.tanh(cell), cell
