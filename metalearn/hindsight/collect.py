"""Run a group's episodes with many arms each, and record the controllers' features."""

import torch

from metalearn.episodes import Pool
from metalearn.hindsight.budget import of_fixed_length, what_is_left
from metalearn.hindsight.lessons import Lessons
from metalearn.hindsight.paths import basis, depths, draw_arms
from metalearn.rollout import Rollout
from metalearn.tree import mapped
from policy.checkpoint import Policy
from policy.rule.weights import flatten, unflatten

SLOWEST = 4.5  # an arm is stopped at this multiple of the fastest arm's time to the target


@torch.no_grad()
def collect(
    pool: Pool, policy: Policy, arms: int, generator: torch.Generator, is_fixed: bool = False
) -> Lessons:
    """Run as many episodes as the pool has variants, each with `arms` arms on the same batches.

    With `is_fixed`, runs have no target, and their length is the baseline's time to it.
    """
    field = Field(pool, policy, arms, generator, is_fixed)
    while len(field.number):
        field.advance()
    return field.lessons()


class Field:
    """The arms of all episodes. Arguments as in `collect`."""

    def __init__(self, pool, policy, arms, generator, is_fixed):
        spec, episodes = policy.spec, len(pool.task.variants)
        self.rollout, self.generator, self.is_fixed = Rollout(pool, spec), generator, is_fixed
        self.drawn = pool.draw(episodes, generator)
        if is_fixed:
            self.drawn = of_fixed_length(self.drawn)
        device = generator.device
        seed = torch.randint(2**31, (), generator=generator, device=device)
        self.arms = draw_arms(arms, int(seed)).to(device)
        self.depth = depths(len(self.rollout.layout)).to(device)
        repeated = mapped(lambda values: values.repeat_interleave(arms), self.drawn)
        self.particles = self.rollout.begin(repeated)
        self.number = torch.arange(episodes * arms, device=device)  # of the arms still running
        self.weights = unflatten(spec, flatten(*policy).to(device).expand(len(self.number), -1))
        self.first = torch.full((episodes,), torch.inf, device=device)  # time of the fastest arm
        self.ended = torch.zeros(3, len(self.number), device=device)  # time, area, reached
        self.length = torch.zeros_like(self.number)
        self.features, self.output, self.tested = [], [], []

    def advance(self) -> None:
        """Advance to the next decision, and drop arms that are finished or too slow."""
        number, carry = self.number, self.particles.carry
        tilt = basis(carry.step, self.particles.episode.baseline, self.depth)
        own = self.arms[number % len(self.arms)]
        carry.multiplier.copy_((tilt * own.unsqueeze(1)).sum(-1).exp())
        weights = {name: value[number] for name, value in self.weights.items()}
        self.rollout.advance(self.particles, weights, self._indices())
        self.rollout.fail_diverged(self.particles)
        self.length[number] += 1
        self._keep()
        self._dismiss()

    def _indices(self):
        """Draw the samples of the next steps, equal for all arms of an episode."""
        task, random = self.rollout.task, self.generator
        shape = len(self.first), self.rollout.spec.stride, task.batch_size
        index = torch.randint(task.train_size, shape, generator=random, device=random.device)
        return index[self._episode()].transpose(0, 1)

    def _episode(self):
        return self.number // len(self.arms)

    def _keep(self):
        memory = self.particles.carry.memory
        for kept, value, absent in (
            (self.features, memory.features.half(), 0.0),
            (self.output, memory.output.half(), 0.0),
            (self.tested, self.particles.tested, torch.inf),
        ):
            whole = value.new_full((len(self.length), *value.shape[1:]), absent)
            whole[self.number] = value
            kept.append(whole.cpu())

    def _dismiss(self):
        particles = self.particles
        arrived = particles.spent.masked_fill(~particles.reached, torch.inf)
        self.first.scatter_reduce_(0, self._episode(), arrived, "amin")
        is_late = particles.spent > SLOWEST * self.first[self._episode()]
        is_done = particles.finished() | is_late
        if is_done.any():
            told = particles.spent, particles.distance, particles.reached.float()
            self.ended[:, self.number[is_done]] = torch.stack(told)[:, is_done]
            self.particles = mapped(lambda tensor: tensor[~is_done].clone(), particles)
            self.number = self.number[~is_done]

    def lessons(self) -> Lessons:
        """Return what was recorded, on the CPU."""
        shape = len(self.first), len(self.arms)
        time, area, reached = self.ended.cpu().view(3, *shape)
        features, output, tested = (
            torch.stack(kept).unflatten(1, shape)
            for kept in (self.features, self.output, self.tested)
        )
        if self.is_fixed:
            decisions = (self.drawn.baseline.cpu() / self.rollout.spec.stride).ceil()
            start = self.rollout.pool.curve[self.drawn.which, 0]
            time = what_is_left(tested, start.cpu(), decisions)
            area, reached = torch.zeros_like(time), torch.ones_like(time)
        return Lessons(
            arms=self.arms.cpu(),
            time=time,
            area=area,
            reached=reached.bool(),
            baseline=self.drawn.baseline.cpu(),
            length=self.length.cpu().view(shape),
            features=features,
            output=output,
            is_matrix=self.rollout.layout.is_matrix.bool().cpu(),
        )
