"""What an estimator of meta-gradients is.

An estimator knows nothing of the outer optimizer, nor of tasks. To add one: derive a class from
`Estimator` in a file of its own, and name it in `metalearn.trainer.ESTIMATORS` and in the type of
`metalearn.config.Config.estimator`.
"""

from typing import NamedTuple

import torch

from metalearn.inner import InnerProblem
from metalearn.shard import Shard


class Estimate(NamedTuple):
    """A meta-gradient and what its particles cost."""

    gradient: torch.Tensor  # [n], of this process's particles; the mean over processes counts
    losses: torch.Tensor  # [pairs of this process, particles run of each], cost of this truncation


class Estimator:
    """Meta-gradients of one inner problem.

    Args:
        size: number of weights of the policy.
        sigma: standard deviation of the perturbations; without meaning where there are none.
        shard: which pairs this process holds.
        generator: every process must hold it in the same state.

    `mask` `[n]` of zeros and ones says which weights learn; all at first.
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
        """Return the meta-gradient at the policy weights `[n]`; advances all particles by a
        truncation."""
        raise NotImplementedError

    def state(self) -> list[torch.Tensor]:
        """Return what a checkpoint keeps: tensors with pairs first."""
        return self.problem.state()

    def restore(self, tensors: list[torch.Tensor]) -> None:
        """Take up the state that `state` gave."""
        self.problem.restore(tensors)


class Persistent(Estimator):
    """An estimator that adds up its perturbations, or their scores, over an episode, in `sums`."""

    sums: torch.Tensor  # [pairs, ...]

    def noise(self, *shape: int) -> torch.Tensor:
        """Return fresh perturbations of this process's pairs, `[pairs, *shape]`."""
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
