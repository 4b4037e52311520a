"""The inner problem of a group: antithetic pairs of particles train the variants of a pool."""

from collections.abc import Callable

import torch

from metalearn.episodes import Pool
from metalearn.graph import graphed
from metalearn.rollout import Particles, Rollout
from metalearn.shard import Shard
from metalearn.tree import leaves, mapped, overwrite
from policy.rule.spec import Spec
from policy.rule.weights import unflatten


class InnerProblem:
    """Pairs of particles that train a group's variants. They persist between truncations.

    Args:
        pairs: number of pairs over all processes.
        truncation: inner steps per run, a multiple of `spec.stride`.
        longest: length of the longest episode to draw, in inner steps; None for the pool's. The
            attribute may be changed later.
        meta_loss: "area" or "time", the cost of an episode (`metalearn.rollout`).
    """

    def __init__(
        self,
        pool: Pool,
        spec: Spec,
        pairs: int,
        truncation: int,
        shard: Shard,
        generator: torch.Generator,
        longest: int | None = None,
        meta_loss: str = "area",
    ):
        self.rollout = Rollout(pool, spec)
        self.pool, self.spec, self.shard, self.generator = pool, spec, shard, generator
        self.pairs = pairs // shard.size
        self.chunks = truncation // spec.stride
        self.meta_loss, self.longest = meta_loss, longest
        self.particles = self.rollout.begin(self._episodes())
        self.advance = graphed(self.rollout.advance, pool.curve)
        self.finished = torch.empty(0)  # time over the baseline's, of the episodes that just ended
        self.diverged = torch.zeros((), device=generator.device)  # particles, in the last run

    def run(
        self,
        perturbed: torch.Tensor,
        multipliers: torch.Tensor | None = None,
        watch: Callable[[Particles], None] = lambda particles: None,
    ) -> torch.Tensor:
        """Run one truncation; return costs `[2 * pairs]`.

        Args:
            perturbed: weights `[2 * pairs, n]`, first particles of all pairs, then second ones.
            multipliers: factors on the rates, `[2 * pairs]`.
            watch: called with the particles after each decision and its steps.
        """
        before = self.costs().clone()
        weights = unflatten(self.spec, perturbed)
        if multipliers is not None:
            self.particles.carry.multiplier.copy_(multipliers.unsqueeze(1))
        for _ in range(self.chunks):
            self.advance(self.particles, weights, self.indices())
            watch(self.particles)
        self.fail_diverged()
        return self.costs() - before

    def costs(self) -> torch.Tensor:
        """Return the costs of the episodes so far, `[2 * pairs]`."""
        return self.particles.distance if self.meta_loss == "area" else self.particles.spent

    def fail_diverged(self) -> None:
        """End the episodes of diverged particles, and count these."""
        self.diverged = self.rollout.fail_diverged(self.particles)

    def restart_finished(self) -> torch.Tensor:
        """Restart pairs whose particles are both done; return the mask of these, `[pairs]`."""
        done = self.particles.finished().view(2, -1).all(0)
        mask = done.repeat(2)
        self.finished = self.particles.spent[mask]
        self.rollout.restart(self.particles, mask, self._episodes())
        return done

    def _episodes(self):
        drawn = self.pool.draw(self.pairs * self.shard.size, self.generator, self.longest)
        return mapped(lambda values: self.shard.take(values).repeat(2), drawn)

    def indices(self) -> torch.Tensor:
        """Draw the samples of a chunk, `[stride, 2 * pairs, batch]`, equal within a pair."""
        task = self.pool.task
        shape = (self.pairs * self.shard.size, self.spec.stride, task.batch_size)
        every = torch.randint(
            task.train_size, shape, generator=self.generator, device=self.generator.device
        )
        return self.shard.take(every).transpose(0, 1).repeat(1, 2, 1)

    def state(self) -> list[torch.Tensor]:
        """Return the state for a checkpoint, tensors `[pairs, 2, ...]`."""
        tensors = leaves(self.particles)
        return [t.view(2, self.pairs, *t.shape[1:]).transpose(0, 1) for t in tensors]

    def restore(self, tensors: list[torch.Tensor]) -> None:
        """Restore what `state` returned."""
        flat = [t.transpose(0, 1).reshape(2 * self.pairs, *t.shape[2:]) for t in tensors]
        overwrite(self.particles, flat)
