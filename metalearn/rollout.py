"""Train many particles at once, each with its own task and its own policy weights.

Both meta-losses are recorded (docs/metalearn.md says why). *Time* is the challenge's score: each
inner step costs `1 / t_baseline` until the target is reached. The crossing is interpolated between
two tests. *Area* integrates over the same time the square root of the gap to the target, relative
to the gap at the start.
"""

import math
from typing import NamedTuple

import torch

from metalearn.episodes import LIMIT, Episode, Pool
from metalearn.tree import mapped, overwrite, select
from policy.rule.layout import Layout
from policy.rule.spec import Spec
from policy.rule.step import Carry, learned_step_, start_carry

# Size of the parts that a CPU advances together. With more weights the matrices leave its cache;
# with fewer particles the overhead of calls dominates.
CACHED_WEIGHTS = 2**19
LEAST_TOGETHER = 8
FARTHEST = 2.0  # distance of a loss whose gap to the target is four times the gap at the start


class Particles(NamedTuple):
    """State of P particles. Every tensor has P first."""

    episode: Episode
    carry: Carry
    reached: torch.Tensor  # bool
    tested: torch.Tensor  # the latest test loss
    spent: torch.Tensor  # time so far, in units of the baseline's
    distance: torch.Tensor  # root of the relative gap to the target, integrated over `spent`

    def finished(self) -> torch.Tensor:
        """Return which particles have reached the target or the limit, `[P]` bool."""
        return self.reached | (self.carry.step >= LIMIT * self.episode.baseline)


class Rollout:
    """Advances particles on one group's task."""

    def __init__(self, pool: Pool, spec: Spec):
        self.pool, self.task, self.spec = pool, pool.task, spec
        self.layout = Layout(self.task.shapes, device=pool.curve.device)

    def begin(self, episode: Episode) -> Particles:
        """Return particles at the start of their episodes."""
        initial = self.layout.pack(self.task.initial(episode.which))
        return Particles(
            episode,
            start_carry(self.spec, self.layout, initial),
            reached=torch.zeros_like(episode.target, dtype=torch.bool),
            tested=self.pool.curve[episode.which, 0],
            spent=torch.zeros_like(episode.target),
            distance=torch.zeros_like(episode.target),
        )

    def restart(self, particles: Particles, mask: torch.Tensor, episode: Episode) -> None:
        """Start new episodes, in place, where the mask `[P]` is true."""
        overwrite(particles, select(mask, self.begin(episode), particles))

    def advance(
        self, particles: Particles, weights: dict[str, torch.Tensor], indices: torch.Tensor
    ) -> None:
        """Make `spec.stride` inner steps, from one decision to the next, then test the average.

        Particles are overwritten in place and nothing waits for the device, so that a CUDA graph
        can record the call.

        Args:
            weights: policy weights, name -> `[P, *shape]`.
            indices: indices of training samples, `[stride, P, batch]`.
        """
        count = indices.shape[1]
        size = self._together(count)
        for start in range(0, count, size):
            some = slice(start, start + size)
            part = mapped(lambda tensor, some=some: tensor[some], particles)
            self._advance(part, {n: w[some] for n, w in weights.items()}, indices[:, some])

    def _together(self, count):
        """Return how many of `count` particles to advance at a time: all on an accelerator,
        otherwise about equal parts."""
        if self.layout.sizes.device.type != "cpu":
            return count
        most = max(CACHED_WEIGHTS // sum(self.layout.numels), LEAST_TOGETHER)
        return math.ceil(count / math.ceil(count / most))

    def _advance(self, particles, weights, indices):
        carry, which = particles.carry, particles.episode.which
        for i, index in enumerate(indices):
            batch = self.task.batch(which, index)
            live = self.layout.unpack(carry.buffers.weight)
            loss, gradients = self.task.loss_and_gradient(live, which, batch)
            gradient = self.layout.pack(gradients)
            with torch.no_grad():
                carry = learned_step_(
                    self.spec, weights, self.layout, carry, gradient, loss, is_decision=i == 0
                )
        overwrite(particles, self.scored(particles, carry, len(indices)))

    @torch.no_grad()
    def scored(self, particles: Particles, carry: Carry, count: int) -> Particles:
        """Return the particles with `carry`, `count` steps later, tested and with updated costs."""
        average = self.layout.unpack(carry.buffers.average)
        tested = self.task.test(average, particles.episode.which)
        crosses = (tested < particles.episode.target) & ~particles.finished()
        cost = self._share(particles, tested, crosses) * count / particles.episode.baseline
        return particles._replace(
            carry=carry,
            reached=particles.reached | crosses,
            tested=tested,
            spent=particles.spent + cost,
            distance=particles.distance + cost * self._distance(particles.episode, tested),
        )

    @staticmethod
    def fail_diverged(particles: Particles) -> torch.Tensor:
        """End episodes whose test loss is not finite as full misses, in place; return their number
        `[]`, on the device."""
        diverged = ~torch.isfinite(particles.tested) & ~particles.finished()
        full = LIMIT * particles.episode.baseline
        left = (full - particles.carry.step).clamp(min=0) / particles.episode.baseline
        particles.spent.add_(left.masked_fill(~diverged, 0.0))
        particles.distance.add_(FARTHEST * left.masked_fill(~diverged, 0.0))
        particles.carry.step.copy_(torch.where(diverged, full, particles.carry.step))
        return diverged.sum()

    def _distance(self, episode, tested):
        """Return the root of the gap to the target over the initial gap, `[P]`, up to FARTHEST."""
        gap = (self.pool.curve[episode.which, 0] - episode.target).clamp(min=1e-6)
        relative = ((tested - episode.target) / gap).clamp(min=0.0).sqrt()
        return relative.masked_fill(relative.isnan(), FARTHEST).clamp(max=FARTHEST)

    @staticmethod
    def _share(particles, tested, crosses):
        """Return the share of the interval before the crossing; 1 without one, 0 after the end."""
        target = particles.episode.target
        fraction = ((particles.tested - target) / (particles.tested - tested)).clamp(0, 1)
        # After an infinite loss the fraction is NaN, and the whole interval counts.
        share = torch.where(crosses & ~fraction.isnan(), fraction, torch.ones_like(fraction))
        return share.masked_fill(particles.finished(), 0.0)
