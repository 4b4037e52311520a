"""Persistent Evolution Strategies (Vicol, Metz & Sohl-Dickstein 2021, algorithm 2).

Each particle i carries the sum of all perturbations since its episode began, `xi_i`. One estimate
draws fresh perturbations `eps_i ~ N(0, sigma^2 I)`, adds them to the sums, runs a truncation with
weights `theta + eps_i`, and returns `mean_i xi_i * L_i / sigma^2`: unbiased for the loss of the
whole episode, though only a truncation is run, and without any derivative of the loss. Antithetic
pairs, +eps and -eps, share task, target and batches, which takes out the variance that they have in
common.

`TruncatedES` is the same without memory (`xi_i = eps_i`): biased towards what pays soon.
"""

import torch

from metalearn.estimator import Estimate, Persistent, Problem
from metalearn.shard import Shard


class PES(Persistent):
    """Meta-gradients of one inner problem.

    Args:
        size: number of weights of the policy.
        sigma: standard deviation of the perturbations.
        shard: which pairs this process holds (`metalearn.shard.Shard`).
        generator: every process of the group must hold it in the same state.

    `mask` `[n]` of zeros and ones says which weights are perturbed, and so learn; all at first.
    """

    persistent = True

    def __init__(
        self, problem: Problem, size: int, sigma: float, shard: Shard, generator: torch.Generator
    ):
        self.problem, self.sigma, self.shard, self.generator = problem, sigma, shard, generator
        self.sums = torch.zeros(problem.pairs, size, device=generator.device)
        self.mask = torch.ones(size, device=generator.device)

    def estimate(self, theta: torch.Tensor) -> Estimate:
        """Meta-gradient at `theta` `[n]`; advances all particles by a truncation."""
        theta = theta.to(self.sums)
        noise = self._noise()
        self.sums = self.sums + noise if self.persistent else noise
        losses = self.problem.run(torch.cat([theta + noise, theta - noise]))
        plus, minus = losses.view(2, -1)
        weight = (plus - minus) / (2 * self.sigma**2)
        gradient = (self.sums * weight[:, None]).mean(0)
        self.sums.masked_fill_(self.problem.restart_finished()[:, None], 0.0)
        return Estimate(gradient, torch.stack([plus, minus], 1))

    def _noise(self):
        count, size = self.sums.shape
        shape = (count * self.shard.size, size)
        every = torch.randn(
            shape, generator=self.generator, device=self.sums.device, dtype=self.sums.dtype
        )
        return self.sigma * self.mask * self.shard.take(every)


class TruncatedES(PES):
    """Evolution strategies on each truncation alone, for comparison: biased, lower variance."""

    persistent = False
