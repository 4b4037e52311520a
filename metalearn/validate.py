"""Score an unperturbed policy on fresh variants: harmonic mean of speed-ups in steps."""

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
    """Result of a policy on one group."""

    family: str
    speedup: float  # harmonic mean of baseline steps / steps; a miss counts as the limit
    error: float  # standard error of the speed-up
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
    """Run episodes to their ends and return their particles.

    Equal arguments give equal episodes and batches. All targets are ordinary, so speed-ups are over
    Adam(1e-3) itself. Finished episodes keep training until all are finished.

    Args:
        watch: called with the particles after each decision and its steps.
        altered: changes the episodes that are drawn.
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
