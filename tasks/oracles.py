"""The single task's oracles: how gradients and test losses are altered before they are returned."""

from collections import deque

import torch
from torch import Tensor, nn

from tasks.contract import Done
from tasks.variant import Variant

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class GradientOracle:
    """Computes the gradients of one network, in storage that every call overwrites.

    The variant's noise, clipping, rounding and delay are applied in this order.
    """

    def __init__(self, variant: Variant, parameters: list[nn.Parameter]) -> None:
        self._variant, self._parameters = variant, parameters
        self._generator = torch.Generator(parameters[0].device).manual_seed(variant.seed)
        self._late: deque[list[Tensor]] = deque()

    def __call__(self, loss: Tensor) -> list[Tensor]:
        for parameter in self._parameters:
            if parameter.grad is not None:
                parameter.grad.zero_()
        loss.backward()
        gradients = [parameter.grad for parameter in self._parameters]
        if self._variant.gradient_noise:
            self._add_noise(gradients)
        if self._variant.clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._variant.clip)
        if self._variant.precision != "full":
            for gradient in gradients:
                gradient.copy_(gradient.to(DTYPES[self._variant.precision]))
        if self._variant.stale:
            self._delay(gradients)
        return gradients

    def _add_noise(self, gradients: list[Tensor]) -> None:
        for gradient in gradients:
            noise = torch.empty_like(gradient).normal_(generator=self._generator)
            gradient.add_(noise * gradient.square().mean().sqrt() * self._variant.gradient_noise)

    def _delay(self, gradients: list[Tensor]) -> None:
        """Replace the gradients by those of `stale` calls ago, as from asynchronous workers."""
        self._late.append([gradient.clone() for gradient in gradients])
        if len(self._late) > self._variant.stale:
            for gradient, late in zip(gradients, self._late.popleft(), strict=True):
                gradient.copy_(late)


class TestOracle:
    """Turns the losses of the test batches into the result of `test`."""

    __test__ = False  # pytest: not a test

    def __init__(self, variant: Variant) -> None:
        self._noise, self._target = variant.test_noise, variant.target
        self._generator = torch.Generator().manual_seed(variant.seed)

    def __call__(self, losses: list[float]) -> float:
        """Return the mean, noisy if the variant is. Raises Done strictly below the target."""
        mean = sum(losses) / len(losses)
        if self._noise:
            mean *= 1 + self._noise * torch.randn((), generator=self._generator).item()
        if self._target is not None and mean < self._target:
            raise Done(mean)
        return mean
