"""Score-function gradients from noise in the log rates (Williams 1992, REINFORCE), persistent.

All particles run the same weights; the policy's outputs are perturbed. For each antithetic pair and
truncation, one number `n ~ N(0, s^2)` is added to the log rates of all tensors of one particle, and
subtracted from those of the other. Let `m(theta)` be the mean log rate over the tensors and
decisions of the truncation. The score of theta is `n / s^2 * dm / dtheta`. Autograd computes it
through the controller alone, on the recorded features. Scores add up over an episode, as in PES
(Vicol et al. 2021). The gradient is the mean over pairs of
`(score_+ - score_-) (cost_+ - cost_-) / 4`.
"""

from typing import Any

import torch

from metalearn.estimator import Estimate, Persistent
from metalearn.inner import InnerProblem
from metalearn.replay import replayed
from metalearn.rollout import Particles
from policy.rule.weights import unflatten


class Actions(Persistent):
    """Meta-gradients by score functions. Arguments as in `metalearn.estimator.Estimator`.

    `sigma` is the standard deviation of the noise in a log rate; `sums` holds the scores of both
    particles of each pair.
    """

    def __init__(self, problem: InnerProblem, size: int, *others: Any):
        super().__init__(problem, size, *others)
        self.sums = torch.zeros(problem.pairs, 2, size, device=self.mask.device)
        self.record: Record = None

    def estimate(self, theta: torch.Tensor) -> Estimate:
        theta = theta.to(self.sums)
        noise = self.noise()
        noise = torch.cat([noise, -noise])  # [2 * pairs]
        self.record = Record(self.problem)
        costs = self.problem.run(theta.expand(len(noise), -1), noise.exp(), self.record.add)
        score = self._scores(theta, noise)
        self.sums += score.view(2, -1, len(theta)).transpose(0, 1)
        plus, minus = costs.view(2, -1)
        weight = (plus - minus) / 4
        gradient = ((self.sums[:, 0] - self.sums[:, 1]) * weight[:, None]).mean(0)
        self.sums.masked_fill_(self.problem.restart_finished()[:, None, None], 0.0)
        return Estimate(self.mask * gradient, torch.stack([plus, minus], 1))

    def _scores(self, theta, noise):
        """Return the score of each particle, `[2 * pairs, n]`."""
        own = theta.detach().expand(len(noise), -1).clone().requires_grad_()
        means = self.record.outputs(own).mean((0, 2))
        return torch.autograd.grad((noise / self.sigma**2 * means).sum(), own)[0]

    @torch.no_grad()
    def moved(self, before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
        """Return the mean square change of the last truncation's log rates, `[]`, if the weights
        change from `before` to `after`."""
        old, new = (self.record.outputs(theta.to(self.sums)) for theta in (before, after))
        return (new - old).square().mean()


class Record:
    """The inputs of all particles' controllers in a truncation, and their state at its start."""

    def __init__(self, problem: InnerProblem):
        self.spec = problem.spec
        memory = problem.particles.carry.memory
        self.start = memory.hidden.clone(), memory.cell.clone(), memory.output.clone()
        self.seen = []

    def add(self, particles: Particles) -> None:
        """Record the decision of the last `spec.stride` steps."""
        carry = particles.carry
        is_first = carry.step < self.spec.stride + 0.5
        self.seen.append((carry.memory.features.clone(), is_first))

    def outputs(self, theta: torch.Tensor) -> torch.Tensor:
        """Return the log rates `[decisions, P, tensors]` of weights `[n]` or `[P, n]` on the
        recorded inputs, differentiable."""
        weights = unflatten(self.spec, theta.expand(len(self.start[0]), -1))
        return replayed(self.spec, weights, self.start, self.seen)
