"""The cost of an episode as a function of its path: a quadratic, fitted to the arms.

The cost of a run is the logarithm of a sum: its time to the target, and the area under the curve of
its distance to the target. A few arms hardly determine ten coefficients. So the episodes of a
family are first fitted together, each with its own level. The residuals are then fitted episode by
episode. Both are ridge regressions; leave-one-out errors select the penalty of the second.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metalearn.episodes import LIMIT
from metalearn.hindsight.lessons import Lessons
from metalearn.hindsight.paths import PATHS, SPREAD

LEAST = 0.01  # added to all times, so that logarithms stay bounded
WORST = 1.5  # bound on a cost above that of the best arm
USUAL = 0.15  # time of an episode of weight one
FLATTEST = 0.01  # least curvature, so that every surface has a minimum
SHARED_PENALTY = 3.0
PENALTIES = 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 1000.0
PAIRS = [(i, j) for i in range(PATHS) for j in range(i, PATHS)]


class Surface(NamedTuple):
    """The costs of E episodes, relative to that of the policy's own path."""

    slope: Tensor  # [E, PATHS], per standard deviation of the arms
    curvature: Tensor  # [E, PATHS, PATHS], positive definite
    weight: Tensor  # [E], weight of the episode

    def cost(self, path: Tensor) -> Tensor:
        """Return the costs `[E, A]` of paths `[E, A, PATHS]`."""
        path = path / path.new_tensor(SPREAD)
        linear = torch.einsum("ek,eak->ea", self.slope, path)
        return linear + 0.5 * torch.einsum("ekl,eak,eal->ea", self.curvature, path, path)


def costs(lessons: Lessons) -> Tensor:
    """Return the costs of the arms, `[E, A]`. An arm that was stopped has the highest one."""
    cost = torch.log(lessons.time + lessons.area + LEAST)
    was_stopped = ~lessons.reached & (lessons.time < 0.99 * LIMIT)
    cost = cost.masked_fill(was_stopped | cost.isnan(), torch.inf)
    cost = cost.clamp(max=cost.amin(-1, keepdim=True) + WORST)
    return torch.nan_to_num(cost, posinf=0.0)  # if no arm has a cost, all are equal


def fit_surfaces(groups: Sequence[Lessons]) -> list[Surface]:
    """Return the surfaces of a family, one per group."""
    designs = [_centred(_design(lessons.arms)) for lessons in groups]
    values = [_centred(costs(lessons).T) for lessons in groups]  # [A, E] each
    rows = torch.cat([x.repeat(y.shape[1], 1) for x, y in zip(designs, values, strict=True)])
    every = torch.cat([y.T.reshape(-1, 1) for y in values])
    shared = _ridge(rows, every, SHARED_PENALTY)
    left = [y - x @ shared for x, y in zip(designs, values, strict=True)]

    def wrong(penalty):
        return sum(_left_out(x, y, penalty) for x, y in zip(designs, left, strict=True))

    penalty = min(PENALTIES, key=wrong)
    return [
        _surface(shared + _ridge(x, y, penalty), lessons)
        for x, y, lessons in zip(designs, left, groups, strict=True)
    ]


def _design(arms):
    """Return the linear and quadratic terms of the arms, `[A, 9]`."""
    z = arms / arms.new_tensor(SPREAD)
    products = [(0.5 if i == j else 1.0) * z[:, i] * z[:, j] for i, j in PAIRS]
    return torch.cat([z, torch.stack(products, 1)], 1)


def _centred(values):
    return values - values.mean(0)


def _ridge(x, y, penalty):
    return torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1]), x.T @ y)


def _left_out(x, y, penalty):
    """Return the sum of squared leave-one-out errors. `x` and `y` are centred."""
    hat = x @ torch.linalg.solve(x.T @ x + penalty * torch.eye(x.shape[1]), x.T)
    error = (y - hat @ y) / (1 - hat.diag() - 1 / len(x))[:, None]
    return error.square().sum().item()


def _surface(coefficients, lessons):
    """Return the surface with coefficients `[9, E]`."""
    slope, quadratic = coefficients.T.split([PATHS, len(PAIRS)], 1)
    curvature = slope.new_zeros(len(slope), PATHS, PATHS)
    for k, (i, j) in enumerate(PAIRS):
        curvature[:, i, j] = curvature[:, j, i] = quadratic[:, k]
    values, vectors = torch.linalg.eigh(curvature)
    raised = torch.diag_embed(values.clamp(min=FLATTEST))
    # Slow episodes weigh most in the score, a mean of times, but not in a mean of logarithms. The
    # first arm's time shows how slow an episode is.
    weight = (lessons.time[:, 0] / USUAL).sqrt()
    return Surface(slope, vectors @ raised @ vectors.transpose(-1, -2), weight)
