"""From a variant to its network: seeded initial weights, tensor scales, and the loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from tasks.architectures import FAMILIES
from tasks.data import Shape
from tasks.variant import Variant

TEST_BATCH = 100  # examples of one test batch, as in the challenge's image task


def build_network(variant: Variant, shape: Shape) -> nn.Module:
    """The network in training mode, float32 on the CPU, holding p_l = w_l / s_l.

    Leaves the global random state as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(variant.seed)
        network = FAMILIES[variant.family].module(shape, **dict(variant.arch))
    parameters = list(network.parameters())
    scales = tensor_scales(variant, len(parameters))
    with torch.no_grad():
        for parameter, scale in zip(parameters, scales, strict=True):
            if parameter.dim() >= 2:
                parameter.mul_(variant.init_scale)
            parameter.div_(scale)
    return network


def tensor_scales(variant: Variant, count: int) -> list[float]:
    """s_l of each parameter tensor, log2 s_l uniform in [-reparam, reparam]."""
    generator = torch.Generator().manual_seed(variant.seed)
    uniform = torch.rand(count, generator=generator, dtype=torch.float64)
    return (2 ** (variant.reparam * (2 * uniform - 1))).tolist()


class Rescaled(nn.Module):
    """A network whose l-th weight is scales[l] times the parameter it exposes."""

    def __init__(self, network: nn.Module, scales: list[float]) -> None:
        super().__init__()
        self.network, self.scales = network, scales

    def forward(self, *inputs):
        named = self.network.named_parameters()
        weights = {
            name: parameter * scale
            for (name, parameter), scale in zip(named, self.scales, strict=True)
        }
        return functional_call(self.network, weights, inputs)


def model_of(variant: Variant, shape: Shape) -> nn.Module:
    """The variant's network, with its rescaling in front where it has one."""
    network = build_network(variant, shape)
    if not variant.reparam:
        return network
    return Rescaled(network, tensor_scales(variant, len(list(network.parameters()))))


def logits_of(output: Tensor | tuple) -> Tensor:
    """The logits of a network's output; recurrent ones return (logits, hidden)."""
    return output[0] if isinstance(output, tuple) else output


def cross_entropy(output: Tensor | tuple, y: Tensor) -> Tensor:
    """Mean cross-entropy in nats over all leading axes: logits [..., classes], y [...]."""
    logits = logits_of(output)
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), y.reshape(-1))
