"""Build the network, inputs, labels and loss of a variant. All random numbers are seeded."""

import torch
from torch import Tensor, nn
from torch.func import functional_call

from tasks.architectures import FAMILIES
from tasks.data.formats import Shape
from tasks.losses import LOSSES
from tasks.variant import Variant

TEST_BATCH = 100  # examples per test batch, as in the challenge's image task


INITS = {
    # He et al., arXiv:1502.01852; Glorot & Bengio 2010; Saxe et al., arXiv:1312.6120.
    "normal": lambda matrix: nn.init.kaiming_normal_(matrix, nonlinearity="relu"),
    "xavier": nn.init.xavier_uniform_,
    "orthogonal": nn.init.orthogonal_,
    "small": lambda matrix: nn.init.normal_(matrix, std=0.02),  # as GPT-2
}
"""Initialisers of the matrices. "zero_head" sets only the last matrix to zero, as in regression."""


def build_network(variant: Variant, shape: Shape) -> nn.Module:
    """Return the network in training mode, float32 on the CPU, with parameters p_l = w_l / s_l.

    The global random state is left unchanged.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(variant.seed)  # `torch.manual_seed` seeds GPUs too
        network = FAMILIES[variant.family].module(shape, **dict(variant.arch))
        matrices = [tensor for tensor in network.parameters() if tensor.dim() >= 2]
        if variant.init == "zero_head":
            nn.init.zeros_(matrices[-1])
        elif variant.init != "default":
            for matrix in matrices:
                INITS[variant.init](matrix)
    parameters = list(network.parameters())
    scales = tensor_scales(variant, len(parameters))
    with torch.no_grad():
        for matrix in matrices:
            matrix.mul_(variant.init_scale)
        for parameter, scale in zip(parameters, scales, strict=True):
            parameter.div_(scale)
    return network


def tensor_scales(variant: Variant, count: int) -> list[float]:
    """Return the scale s_l of each parameter tensor: its own factor times the shared one."""
    generator = torch.Generator().manual_seed(variant.seed)
    uniform = 2 * torch.rand(count + 1, generator=generator, dtype=torch.float64) - 1
    log2 = variant.reparam * uniform[:count] + variant.reparam_all * uniform[count]
    return (2**log2).tolist()


def is_rescaled(variant: Variant) -> bool:
    return bool(variant.reparam or variant.reparam_all)


class Rescaled(nn.Module):
    """A network whose l-th weight is scales[l] times its l-th parameter."""

    def __init__(self, network: nn.Module, scales: list[float]) -> None:
        super().__init__()
        self.network, self.scales = network, scales

    def forward(self, *inputs: Tensor) -> Tensor:
        named = self.network.named_parameters()
        weights = {
            name: parameter * scale
            for (name, parameter), scale in zip(named, self.scales, strict=True)
        }
        return functional_call(self.network, weights, inputs)


def model_of(variant: Variant, shape: Shape) -> nn.Module:
    """Return the variant's network, rescaled if the variant asks for it."""
    network = build_network(variant, shape)
    if not is_rescaled(variant):
        return network
    return Rescaled(network, tensor_scales(variant, len(list(network.parameters()))))


def inputs_of(
    variant: Variant, x: Tensor, device: str | torch.device, dtype: torch.dtype
) -> Tensor:
    """Return the inputs on the device. Images are scaled and converted to `dtype`."""
    return x.to(device, dtype) * variant.input_scale if x.is_floating_point() else x.to(device)


def noisy_labels(variant: Variant, y: Tensor, classes: int) -> Tensor:
    """Return `y` with each label replaced by a random class with probability `label_noise`."""
    if not variant.label_noise:
        return y
    generator = torch.Generator().manual_seed(variant.seed)
    replaced = torch.rand(y.shape, generator=generator) < variant.label_noise
    drawn = torch.randint(classes, y.shape, generator=generator)
    return torch.where(replaced, drawn, y)


def logits_of(output: Tensor | tuple) -> Tensor:
    """Return the logits of a network's output. Recurrent networks return (logits, hidden)."""
    return output[0] if isinstance(output, tuple) else output


def mean_loss(variant: Variant, output: Tensor | tuple, x: Tensor, y: Tensor) -> Tensor:
    """Return the variant's loss, averaged over examples (and tokens), as a 0-d tensor."""
    return LOSSES[variant.loss](logits_of(output), x, y).mean()
