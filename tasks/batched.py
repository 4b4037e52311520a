"""Many variants of one problem at once, as pure functions with a leading particle axis.

The single task's `nn.Module` runs under `torch.func.vmap`, and ordinary autograd outside of it
computes gradients. Nothing waits for the device, so a CUDA graph can record a step. Four things
differ from the single task:

* Normalisation uses batch statistics, in training and in testing.
* The noise on gradients and test losses is a function of the loss itself.
* The units that dropout drops are a function of the layer's input.
* A test uses part of the test set.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from tasks.contract import Batch
from tasks.data import load_samples
from tasks.keyed import keyed_normal
from tasks.losses import LOSSES
from tasks.model import (
    TEST_BATCH,
    build_network,
    inputs_of,
    is_rescaled,
    logits_of,
    noisy_labels,
    tensor_scales,
)
from tasks.options import VariantError
from tasks.oracles import DTYPES
from tasks.variant import Variant

_MAY_DIFFER = ("seed", "init_scale", "reparam", "reparam_all", "label_noise", "target")


class BatchedTask:
    """V variants of one architecture, data set and batch size, with the same oracles.

    Methods take `which`, int64 [P], the variant of each of P particles. Parameters are lists of
    [P, *shape], in the order of the single task's `state`.

    shapes: each tensor's shape without P. train_size: number of training examples.
    test_samples: number of test examples that `test` uses, evenly spread over the test set.
    Raises VariantError if the variants differ in more than seed, init_scale, reparam, reparam_all,
    label_noise and target, or if they carry recurrent state or stale gradients.
    """

    def __init__(
        self,
        variants: Sequence[Variant],
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        test_samples: int = 256,
        root: Path | None = None,
    ) -> None:
        _check_alike(variants)
        self.variants, first = tuple(variants), variants[0]
        self.device = torch.device(device)
        self.batch_size, self._common = first.batch_size, first
        data = load_samples(first.data, first.data_options, root)
        self._train_x = inputs_of(first, data.train_x, device, dtype)
        self.train_size = len(data.train_x)
        count = len(data.test_x)
        spread = torch.linspace(0, count - 1, min(test_samples, count)).long()
        self._test_x = inputs_of(first, data.test_x[spread], device, dtype)
        self._test_y = data.test_y[spread].to(device)
        self._load_labels(data.train_y, data.shape.classes)
        networks = [build_network(variant, data.shape) for variant in variants]
        tensors = [list(network.parameters()) for network in networks]
        self._names = [name for name, _ in networks[0].named_parameters()]
        self._initial = [
            torch.stack([t.detach() for t in group]).to(device, dtype)
            for group in zip(*tensors, strict=True)
        ]
        self.shapes = [tensor.shape[1:] for tensor in self._initial]
        scales = [tensor_scales(variant, len(self.shapes)) for variant in variants]
        rescaled = any(map(is_rescaled, variants))
        self._scales = torch.tensor(scales, device=device, dtype=dtype) if rescaled else None
        self._training = build_network(first, data.shape).to(device, dtype).train()
        self._testing = build_network(first, data.shape).to(device, dtype).eval()

    def _load_labels(self, clean: Tensor, classes: int) -> None:
        """Store one row per distinct labelling, with a byte per label, since text has many."""
        small = torch.uint8 if classes <= 256 else torch.int32
        keys = [(v.seed, v.label_noise) if v.label_noise else None for v in self.variants]
        distinct = {key: variant for key, variant in zip(keys, self.variants, strict=True)}
        rows = [noisy_labels(variant, clean, classes).to(small) for variant in distinct.values()]
        self._labels = torch.stack(rows).to(self.device)
        row_of = {key: row for row, key in enumerate(distinct)}
        self._label_row = torch.tensor([row_of[key] for key in keys], device=self.device)

    def tensors(self) -> list[Tensor]:
        """Return all tensors that training depends on: initial weights, scales, data, labels."""
        scales = [] if self._scales is None else [self._scales]
        data = [self._train_x, self._labels, self._label_row, self._test_x, self._test_y]
        return [*self._initial, *scales, *data]

    def initial(self, which: Tensor) -> list[Tensor]:
        """Return the initial `state` of each particle's variant."""
        return [tensor[which] for tensor in self._initial]

    def batch(self, which: Tensor, index: Tensor) -> Batch:
        """Return the examples `index` [P, N]: x [P, N, *input], y [P, N] or [P, N, context]."""
        rows = self._label_row[which].unsqueeze(1)
        return Batch(self._train_x[index], self._labels[rows, index].long())

    def loss(self, params: Sequence[Tensor], which: Tensor, batch: Batch) -> Tensor:
        """Return the mean loss of each particle's batch, [P], differentiable in `params`."""
        return self._losses(self._training, params, which, batch.x, 0, batch.y)

    def loss_and_gradient(
        self, params: Sequence[Tensor], which: Tensor, batch: Batch
    ) -> tuple[Tensor, list[Tensor]]:
        """Return the oracle's losses [P] and gradients [P, *shape], detached."""
        leaves = [tensor.detach().requires_grad_() for tensor in params]
        with torch.enable_grad():
            losses = self.loss(leaves, which, batch)
            gradients = list(torch.autograd.grad(losses.sum(), leaves))
        losses = losses.detach()
        return losses, self._oracle(losses, gradients)

    def _oracle(self, losses: Tensor, gradients: list[Tensor]) -> list[Tensor]:
        """Apply noise, clipping and rounding, in this order."""
        variant = self._common
        if variant.gradient_noise:
            count = sum(gradient[0].numel() for gradient in gradients)
            noise = variant.gradient_noise * keyed_normal(losses, count)
            gradients = _noisy(gradients, noise)
        if variant.clip is not None:
            gradients = _clipped(gradients, variant.clip)
        if variant.precision != "full":
            rounded = DTYPES[variant.precision]
            gradients = [gradient.to(rounded).to(gradient) for gradient in gradients]
        return gradients

    @torch.no_grad()
    def test(self, params: Sequence[Tensor], which: Tensor) -> Tensor:
        """Return the test losses [P], means over batches of 100 as in the single task."""
        losses = [
            self._losses(self._testing, params, which, x, None, y.expand(len(which), *y.shape))
            for x, y in zip(
                self._test_x.split(TEST_BATCH), self._test_y.split(TEST_BATCH), strict=True
            )
        ]
        mean = torch.stack(losses).mean(0)
        if self._common.test_noise:
            mean = mean * (1 + self._common.test_noise * keyed_normal(mean, 1).squeeze(1))
        return mean

    def _losses(
        self,
        network: nn.Module,
        params: Sequence[Tensor],
        which: Tensor,
        x: Tensor,
        x_axis: int | None,
        y: Tensor,
    ) -> Tensor:
        if self._scales is not None:
            scales = self._scales[which].unbind(1)
            params = [
                p * s.view(-1, *[1] * (p.dim() - 1)) for p, s in zip(params, scales, strict=True)
            ]

        def forward(weights: dict[str, Tensor], x: Tensor) -> Tensor:
            return logits_of(functional_call(network, weights, (x,)))

        weights = dict(zip(self._names, params, strict=True))
        outputs = vmap(forward, in_dims=(0, x_axis))(weights, x)
        return LOSSES[self._common.loss](outputs, x, y).flatten(1).mean(1)


def _noisy(gradients: list[Tensor], noise: Tensor) -> list[Tensor]:
    """Add noise [P, all weights], scaled by each tensor's root mean square."""
    parts = noise.split([gradient[0].numel() for gradient in gradients], 1)
    scales = [gradient.flatten(1).square().mean(1, keepdim=True).sqrt() for gradient in gradients]
    return [
        gradient + (part * scale).view_as(gradient)
        for gradient, part, scale in zip(gradients, parts, scales, strict=True)
    ]


def _clipped(gradients: list[Tensor], limit: float) -> list[Tensor]:
    """Apply `nn.utils.clip_grad_norm_` to each particle separately."""
    squares: Any = sum(gradient.flatten(1).square().sum(1) for gradient in gradients)
    factor = (limit / (squares.sqrt() + 1e-6)).clamp(max=1.0)
    return [g * factor.view(-1, *[1] * (g.dim() - 1)) for g in gradients]


def _check_alike(variants: Sequence[Variant]) -> None:
    if not variants:
        raise VariantError("a batched task needs at least one variant")
    if variants[0].oracle == "language":
        raise VariantError("a batched task cannot carry recurrent state: use oracle 'supervised'")
    if variants[0].stale:
        raise VariantError("a batched task has no stale gradients: build the single task")
    neutral = {name: getattr(variants[0], name) for name in _MAY_DIFFER}
    for variant in variants:
        if replace(variant, **neutral) != variants[0]:
            raise VariantError(
                f"the variants of a batched task may differ in {', '.join(_MAY_DIFFER)} only"
            )
