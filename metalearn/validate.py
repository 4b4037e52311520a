"""Score of a policy, unperturbed, on fresh variants: harmonic mean of speed-ups in steps."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from metalearn.episodes import Episode, Pool
from metalearn.graph import graphed
from metalearn.rollout import Particles, Rollout
from policy.rule.spec import Spec
from policy.rule.weights import unflatten


class Score(NamedTuple):
    """Result on one group."""

    family: str
    speedup: float  # harmonic mean over episodes of baseline steps / steps, a miss at the limit
    error: float  # standard error of it
    solved: float  # share of episodes that reached the target
    count: int  # type: ignore[assignment]


def validate(pool: Pool, spec: Spec, theta: torch.Tensor, episodes: int, seed: int) -> Score:
    """Return the score of the weights `theta` `[n]` on `episodes` episodes of `pool`."""
    particles = play(pool, spec, theta, episodes, seed)
    ratios = particles.spent.double().cpu()
    mean = ratios.mean().item()
    deviation = ratios.std().item() / math.sqrt(len(ratios)) if len(ratios) > 1 else math.nan
    solved = particles.reached.float().mean().item()
    # The delta method: d(1/m) = dm / m^2.
    return Score(pool.family, 1 / mean, deviation / mean**2, solved, len(ratios))


@torch.no_grad()
def play(
    pool: Pool,
    spec: Spec,
    theta: torch.Tensor,
    episodes: int,
    seed: int,
    watch: Callable[[Particles], None] = lambda particles: None,
    altered: Callable[[Episode], Episode] = lambda episode: episode,
) -> Particles:
    """Return the particles of finished episodes; equal arguments give equal episodes and batches.

    All targets are ordinary ones, so that a speed-up is one over Adam(1e-3) itself. `watch` is
    called after each decision and the steps that follow it; finished episodes train on until all
    are. `altered` may change the episodes that are drawn.
    """
    generator = torch.Generator(pool.curve.device).manual_seed(seed)
    rollout = Rollout(pool, spec)
    particles = rollout.begin(altered(pool.draw(episodes, generator, hard=0.0)))
    advance = graphed(rollout.advance, pool.curve)
    weights = unflatten(spec, theta.detach().to(pool.curve.device).expand(episodes, -1))
    while not particles.finished().all():
        shape = (spec.stride, episodes, pool.task.batch_size)
        indices = torch.randint(
            pool.task.train_size, shape, generator=generator, device=generator.device
        )
        advance(particles, weights, indices)
        watch(particles)
    return particles
