"""What a meta-gradient estimator is, and what it needs of the problem that it differentiates.

An estimator knows nothing of the outer optimizer, nor of tasks. To add one: write a class with what
`Estimator` asks for in a file of its own, and name it in `metalearn.trainer.ESTIMATORS`
and in the type of `metalearn.config.Config.estimator`. The trainer makes it with the arguments of
`metalearn.pes.PES`; what it does not need it may take as `*_`.
"""

from typing import Any, NamedTuple, Protocol

import torch


class Estimate(NamedTuple):
    """A meta-gradient and what its particles cost."""

    gradient: torch.Tensor  # [n], of this process's particles; the mean over processes counts
    losses: torch.Tensor  # [pairs of this process, particles run of each], cost of this truncation


class Estimator(Protocol):
    """Meta-gradients of one inner problem."""

    problem: "Problem"  # the trainer logs how its episodes end, and makes them longer
    mask: torch.Tensor  # [n], zero for weights that don't learn: the gradient is zero there

    def estimate(self, theta: torch.Tensor) -> Estimate:
        """Meta-gradient at the policy weights `[n]`; advances all particles by a truncation."""

    def state(self) -> list[torch.Tensor]:
        """What a checkpoint keeps, the problem's state included: tensors with pairs first."""

    def restore(self, tensors: list[torch.Tensor]) -> None:
        """Take up the state that `state` gave."""


class Problem(Protocol):
    """What an evolution strategy needs of an inner problem: pairs that persist between calls.

    The trainer's, `metalearn.inner.InnerProblem`, has more: an estimator hands it on.
    """

    pairs: int

    def run(self, perturbed: torch.Tensor) -> torch.Tensor:
        """Run one truncation with weights `[2 * pairs, n]`, +eps first; costs `[2 * pairs]`."""

    def restart_finished(self) -> torch.Tensor:
        """Begin new episodes where both particles of a pair are done; mask `[pairs]` of those."""

    def state(self) -> list[torch.Tensor]:
        """What a checkpoint keeps, tensors with pairs first."""

    def restore(self, tensors: list[torch.Tensor]) -> None:
        """Take up the state that `state` gave."""


class Persistent:
    """An estimator that adds something up over an episode, in `sums`, with pairs first."""

    sums: torch.Tensor
    problem: Any

    def state(self) -> list[torch.Tensor]:
        """What a checkpoint keeps: tensors with pairs first."""
        return [self.sums, *self.problem.state()]

    def restore(self, tensors: list[torch.Tensor]) -> None:
        """Take up the state that `state` gave."""
        sums, *rest = tensors
        self.sums.copy_(sums)
        self.problem.restore(rest)
