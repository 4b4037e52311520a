"""PES against a closed form; truncated evolution strategies miss part of it."""

import pytest
import torch

from metalearn.pes import PES, TruncatedES
from metalearn.shard import Shard

STEPS, GOAL = 8, 3.0
WHOLE = Shard()
THETA = torch.tensor([0.2, 0.1], dtype=torch.double)


class Walk:
    """x_{t+1} = x_t + theta_0 + 0.5 theta_1 x_t costs (x_t - GOAL)^2 per step, for STEPS steps."""

    def __init__(self, pairs, truncation):
        self.pairs, self.truncation = pairs, truncation
        self.x = torch.zeros(2 * pairs, dtype=torch.double)
        self.t = 0

    def run(self, perturbed):
        cost = torch.zeros_like(self.x)
        for _ in range(self.truncation):
            self.x = self.x + perturbed[:, 0] + 0.5 * perturbed[:, 1] * self.x
            cost = cost + (self.x - GOAL) ** 2
        self.t += self.truncation
        return cost

    def restart_finished(self):
        done = torch.full((self.pairs,), self.t >= STEPS)
        if self.t >= STEPS:
            self.x, self.t = torch.zeros_like(self.x), 0
        return done


def true_gradient():
    theta = THETA.clone().requires_grad_()
    x = cost = torch.zeros((), dtype=torch.double)
    for _ in range(STEPS):
        x = x + theta[0] + 0.5 * theta[1] * x
        cost = cost + (x - GOAL) ** 2
    return torch.autograd.grad(cost, theta)[0]


def episode_gradients(kind, truncation, episodes=400, pairs=100, shard=WHOLE):
    """Return estimates summed over each of `episodes` episodes, `[episodes, 2]`."""
    generator = torch.Generator().manual_seed(0)
    problem = Walk(pairs // shard.size, truncation)
    estimator = kind(problem, len(THETA), 0.01, shard, generator)
    estimator.sums = estimator.sums.double()
    return torch.stack(
        [
            sum(estimator.estimate(THETA).gradient for _ in range(STEPS // truncation))
            for _ in range(episodes)
        ]
    )


def interval(samples):
    return samples.mean(0), 4 * samples.std(0) / len(samples) ** 0.5


@pytest.mark.parametrize("truncation", [1, 2, 4, 8])
def test_pes_is_unbiased(truncation):
    """n = 400 episodes of 100 pairs; tolerance of 4 standard errors, which are small."""
    mean, bound = interval(episode_gradients(PES, truncation))
    assert (bound < 0.15 * true_gradient().abs()).all(), "the interval is too wide to tell"
    assert ((mean - true_gradient()).abs() < bound).all()


def test_truncated_es_is_biased_but_pes_is_not():
    mean, bound = interval(episode_gradients(TruncatedES, 2))
    assert ((mean - true_gradient()).abs() > 3 * bound).all()


def test_shards_add_up_to_one_process():
    whole = episode_gradients(PES, 2, episodes=3, pairs=6)
    parts = [episode_gradients(PES, 2, episodes=3, pairs=6, shard=Shard(r, 3)) for r in range(3)]
    torch.testing.assert_close(torch.stack(parts).mean(0), whole)
