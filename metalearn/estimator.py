"""Base classes of estimators of meta-gradients.

An estimator knows neither the outer optimizer nor tasks. To add one, derive a class from
`Estimator` in its own file. Add it to `metalearn.trainer.ESTIMATORS`, and its name to the type of
`metalearn.config.Config.estimator`.
"""

from typing import NamedTuple

import torch

from metalearn.inner import InnerProblem
from metalearn.shard import Shard


class Estimate(NamedTuple):
    """A meta-gradient and the costs of its particles."""

    gradient: torch.Tensor  # [n], of this process's particles; the trainer averages over processes
    losses: torch.Tensor  # costs of this truncation, [this process's pairs, particles run per pair]


class Estimator:
    """Meta-gradients of one inner problem.

    Args:
        size: number of weights of the policy.
        sigma: standard deviation of the perturbations, if any.
        shard: the part of the pairs that this process holds.
        generator: must be in the same state on every process.

    `mask` `[n]` is one for weights that learn and zero for others. Initially all learn.
    """

    def __init__(
        self,
        problem: InnerProblem,
        size: int,
        sigma: float,
        shard: Shard,
        generator: torch.Generator,
    ):
        self.problem, self.sigma, self.shard, self.generator = problem, sigma, shard, generator
        self.mask = torch.ones(size, device=generator.device)

    def estimate(self, theta: torch.Tensor) -> Estimate:
        """Advance all particles by a truncation; return the meta-gradient at the policy weights
        `theta` `[n]`."""
        raise NotImplementedError

    def state(self) -> list[torch.Tensor]:
        """Return the state for a checkpoint, tensors with pairs first."""
        return self.problem.state()

    def restore(self, tensors: list[torch.Tensor]) -> None:
        """Restore what `state` returned."""
        self.problem.restore(tensors)


class Persistent(Estimator):
    """An estimator that sums its perturbations, or their scores, over an episode."""

    sums: torch.Tensor  # [pairs, ...]

    def noise(self, *shape: int) -> torch.Tensor:
        """Return fresh perturbations for this process's pairs, `[pairs, *shape]`."""
        every = torch.randn(
            (len(self.sums) * self.shard.size, *shape),
            generator=self.generator,
            device=self.sums.device,
            dtype=self.sums.dtype,
        )
        return self.sigma * self.shard.take(every)

    def state(self) -> list[torch.Tensor]:
        return [self.sums, *super().state()]

    def restore(self, tensors: list[torch.Tensor]) -> None:
        sums, *rest = tensors
        self.sums.copy_(sums)
        super().restore(rest)
