"""Replay a controller on recorded features."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from policy.rule.controller import Memory, respond
from policy.rule.spec import Spec

UNSEEN = dict.fromkeys(Memory._fields)  # `respond` reads only the LSTM's state and last output


def replayed(
    spec: Spec,
    weights: Mapping[str, Tensor],
    start: tuple[Tensor, Tensor, Tensor],
    seen: Iterable[tuple[Tensor, Tensor]],
) -> Tensor:
    """Return the controller's outputs `[decisions, *lead, tensors]`, differentiable.

    Args:
        start: hidden state, cell and output before the first decision, `[*lead, tensors, ...]`.
        seen: per decision the features `[*lead, tensors, FEATURES]`, and whether it is the first
            of its episode, `[*lead]` bool.
    """
    hidden, cell, output = start
    found = []
    for features, is_first in seen:
        memory = Memory(**{**UNSEEN, "hidden": hidden, "cell": cell, "output": output})
        hidden, cell, output = respond(spec, weights, memory, features, is_first)
        found.append(output)
    return torch.stack(found)
