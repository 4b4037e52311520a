"""What a controller would have put out, had it seen what was recorded."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from policy.rule.controller import Memory, respond
from policy.rule.spec import Spec

UNSEEN = dict.fromkeys(Memory._fields)  # `respond` looks at the LSTM's state and the last output


def replayed(
    spec: Spec,
    weights: Mapping[str, Tensor],
    start: tuple[Tensor, Tensor, Tensor],
    seen: Iterable[tuple[Tensor, Tensor]],
) -> Tensor:
    """Return the outputs `[decisions, *lead, tensors]`; can be differentiated.

    Args:
        start: hidden state, cell and output before the first decision, `[*lead, tensors, ...]`.
        seen: of each decision the features `[*lead, tensors, FEATURES]`, and whether none was
            before it, `[*lead]` bool.
    """
    hidden, cell, output = start
    found = []
    for features, is_first in seen:
        memory = Memory(**{**UNSEEN, "hidden": hidden, "cell": cell, "output": output})
        hidden, cell, output = respond(spec, weights, memory, features, is_first)
        found.append(output)
    return torch.stack(found)
