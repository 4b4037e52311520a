"""A policy's weights as one flat vector, as evolution strategies want them, and back."""

import torch

from policy.rule.spec import weight_shapes


def initial_weights(spec, seed):
    """Return the unlearned policy, name -> float32 tensor: constant rates.

    The LSTM is random, uniform in +-1/sqrt(fan-in) as torch's own; the head is zero.
    """
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in weight_shapes(spec).items():
        weights[name] = torch.zeros(shape)
        if name == "lstm.weight":
            bound = shape[0] ** -0.5
            weights[name].uniform_(-bound, bound, generator=generator)
    return weights


def flatten(spec, weights):
    """Name -> ``shape`` to a vector ``[n]``, in canonical order."""
    return torch.cat([weights[name].reshape(-1) for name in weight_shapes(spec)])


def unflatten(spec, vector):
    """Vector ``[*lead, n]`` to name -> view ``[*lead, *shape]``."""
    weights, start = {}, 0
    for name, shape in weight_shapes(spec).items():
        size = torch.Size(shape).numel()
        weights[name] = vector[..., start : start + size].view(*vector.shape[:-1], *shape)
        start += size
    return weights


def linear_path(spec):
    """1.0 for the weights of the linear path, the biases of the rates included, else 0: ``[n]``."""
    shapes = weight_shapes(spec)
    linear = ("skip.weight", "head.bias")
    return flatten(spec, {n: torch.full(s, float(n in linear)) for n, s in shapes.items()})
