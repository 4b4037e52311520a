"""How much of what is learned counts, decided once, by the first steps.

Where the first steps go a good part of the way to the target, or batches differ as much, a run that
goes on for long soon meets noise, which high rates amplify: there the rule that meta-training
begins from is the better policy. Where the loss hardly moves for a start, what is learned is worth
twice that rule. What tells them apart is the feature of noise (:mod:`policy.signal`), the spread of
the loss over its gap to the target, as early as at the second decision. Later is too late: high
rates leave large weights behind. So the run begins between the two, and decides then.
"""

import torch

from policy.features import OVERSHOOT
from policy.scalars import choose

RULE = -0.25  # output of the rule per unit of overshoot
NOISE = 2  # index of that among the features of the loss


def trust_after(spec, step, trust, shared):
    """Share of what is learned that counts from this decision on, ``[*lead]``.

    Args:
        step: counts from 1, ``[*lead]`` or a number.
        trust: the share so far, ``[*lead]``.
        shared: features of the loss, ``[*lead, GLOBAL_FEATURES]``.
    """
    told = torch.sigmoid((spec.trusted_noise - shared[..., NOISE]) / spec.trust_width)
    return choose(abs(step - 1 - spec.stride) < 0.5, told.to(trust), trust)


def trusted(spec, skip, output, trust, per_tensor):
    """Log rates ``[*lead, tensors, DIRECTIONS]`` between the rule and the policy's.

    Args:
        skip: factor of the linear path from features to log rates.
        output: log rates of the policy.
        trust: ``[*lead]``.
        per_tensor: features ``[*lead, tensors, TENSOR_FEATURES]``.
    """
    rule = spec.gain * skip * RULE * per_tensor[..., OVERSHOOT : OVERSHOOT + 1]
    return output - (1 - trust)[..., None, None] * (output - rule)
