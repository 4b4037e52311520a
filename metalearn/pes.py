"""Persistent Evolution Strategies (Vicol, Metz & Sohl-Dickstein 2021, algorithm 2).

Each particle i keeps `xi_i`, the sum of its perturbations since its episode began. An estimate
draws fresh perturbations `eps_i ~ N(0, sigma^2 I)`, adds them to the sums, runs a truncation with
weights `theta + eps_i`, and returns `mean_i xi_i * L_i / sigma^2`. This is unbiased for the loss of
the whole episode. Antithetic pairs, +eps and -eps, share task, target and batches, which cancels
the variance due to these.
"""

from typing import Any

import torch

from metalearn.estimator import Estimate, Persistent
from metalearn.inner import InnerProblem


class PES(Persistent):
    """Meta-gradients by PES. Arguments as in `metalearn.estimator.Estimator`."""

    persistent = True

    def __init__(self, problem: InnerProblem, size: int, *others: Any):
        super().__init__(problem, size, *others)
        self.sums = torch.zeros(problem.pairs, size, device=self.mask.device)

    def estimate(self, theta: torch.Tensor) -> Estimate:
        theta = theta.to(self.sums)
        noise = self.mask * self.noise(len(theta))
        self.sums = self.sums + noise if self.persistent else noise
        losses = self.problem.run(torch.cat([theta + noise, theta - noise]))
        plus, minus = losses.view(2, -1)
        weight = (plus - minus) / (2 * self.sigma**2)
        gradient = (self.sums * weight[:, None]).mean(0)
        self.sums.masked_fill_(self.problem.restart_finished()[:, None], 0.0)
        return Estimate(gradient, torch.stack([plus, minus], 1))


class TruncatedES(PES):
    """PES without sums, `xi_i = eps_i`: lower variance, but biased towards short-term gains."""

    persistent = False
