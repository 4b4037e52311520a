"""Episodes: a task variant, a target test loss on a curve of the baseline, the time to it."""

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from metalearn.config import Config
from metalearn.graph import graphed
from metalearn.shard import Shard
from tasks import FAMILIES, BatchedTask, Variant, cached_curves, sample_group, steps_to_test
from tasks.data import NEEDS_FILES
from tasks.working_size import sample_working_group

LIMIT = 1.0  # an episode ends as a miss at this multiple of the baseline's time
TEST_SAMPLES = 100  # per test: every few steps one is made, so it has to be cheap
GROUPS = 100_000  # per seed, of all generations
HARD_SHARE = 1 / 3  # of the episodes that are trained on


class Episode(NamedTuple):
    """What a particle trains and when it is done, each `[n]`."""

    which: torch.Tensor  # variant, an index into the group's variants
    target: torch.Tensor  # test loss to get below
    baseline: torch.Tensor  # inner steps that the baseline takes to it


class Pool:
    """The variants of one group with their baseline curves; draws episodes from them.

    An ordinary target lies on the test curve of Adam(1e-3). A hard one lies on the lower of that
    and the curve of Adam's averaged weights, and the baseline's time is the time on that curve.

    Args:
        variants: share architecture, data set and batch size (see `tasks.sample_group`).
        shortest, longest: range of the baseline's time, in inner steps.
        seed: of the baseline's batches.

    Raises ValueError where the initial test loss of a variant is not finite.
    """

    def __init__(
        self,
        variants: Sequence[Variant],
        shortest: int,
        longest: int,
        seed: int,
        device: torch.device | str = "cpu",
    ):
        self.task = BatchedTask(variants, device=device, test_samples=TEST_SAMPLES)
        self.family = variants[0].family
        curves = cached_curves(self.task, steps_to_test(longest), seed, graphed)
        self.steps, self.curve = curves.steps, curves.own
        bad = (~torch.isfinite(self.curve[:, 0])).nonzero().flatten().tolist()
        if bad:
            raise ValueError(f"{variants[bad[0]]}: its initial test loss is not finite; drop it")
        self.ordinary = _best_so_far(curves.own)
        self.hard = torch.minimum(self.ordinary, _best_so_far(curves.averaged))
        self.shortest, self.longest = min(shortest, longest), longest

    def draw(
        self,
        count: int,
        generator: torch.Generator,
        longest: int | None = None,
        hard: float = HARD_SHARE,
    ) -> Episode:
        """Return `count` episodes of log-uniform lengths, up to `longest` where it is below the
        pool's. `hard` is the share of hard targets: 0 for a score over Adam(1e-3) alone."""
        random: dict[str, Any] = {"generator": generator, "device": self.curve.device}
        which = torch.randint(len(self.curve), (count,), **random)
        last = self.longest if longest is None else min(longest, self.longest)
        span = math.log(max(last / self.shortest, 1.0))
        time = self.shortest * torch.exp(span * torch.rand(count, **random))
        is_hard = torch.rand(count, **random) < hard
        best = torch.where(is_hard[:, None], self.hard[which], self.ordinary[which])
        level = best.gather(1, self._nearest(time)[:, None])
        # The first time at this level: on a plateau the baseline was there before the drawn time.
        # And below the initial loss: what the untrained network reaches is no target.
        is_there = (best <= level) & (best < best[:, :1])
        is_there = torch.where(is_there.any(1, keepdim=True), is_there, best < best[:, :1])
        reached = is_there.float().argmax(1).clamp(min=1)
        target = best.gather(1, reached[:, None])[:, 0]
        # `Done` asks for strictly less.
        target = target + 1e-6 * target.abs()
        return Episode(which, target, self.steps[reached].to(target))

    def _nearest(self, time):
        """Index of the test nearest to each time `[n]`."""
        middles = (self.steps[1:] + self.steps[:-1]) / 2
        return torch.searchsorted(middles.to(time), time)


def _best_so_far(curve):
    """Infinities of a baseline that diverged never become a target."""
    return torch.nan_to_num(curve, nan=math.inf).cummin(1).values


def build_pools(
    config: Config, device: torch.device, seed: int, shard: Shard | None = None
) -> list[Pool]:
    """Return a pool per group, in the order of `config.families`.

    Each process begins with its own share; the curves of the others' it then finds in the cache.
    Raises DataError where a data set that may be drawn lacks its files.
    """
    shard = shard or Shard()
    if config.files:  # rather now than when a group is replaced after hours
        for data in {name for family in config.families for name in FAMILIES[family].data}:
            if data in NEEDS_FILES:
                NEEDS_FILES[data](None)
    numbers = list(itertools.product(range(len(config.families)), range(config.groups)))
    own_first = dict.fromkeys([*numbers[shard.rank :: shard.size], *numbers])
    pools = {number: build_pool(config, device, seed, *number) for number in own_first}
    return [pools[number] for number in numbers]


def build_pool(
    config: Config, device: torch.device, seed: int, f: int, g: int, generation: int = 0
) -> Pool:
    """Return the pool of a family's group; each generation has another architecture."""
    group, groups = f * config.groups + g, len(config.families) * config.groups
    own = seed * GROUPS + generation * groups + group
    family, count = config.families[f], config.variants
    if config.working_size and (group + generation) % 2:
        variants = sample_working_group(family, own, count, config.files)
    else:
        variants = sample_group(family, own, count, config.files, config.augment)
    return Pool(variants, config.shortest, config.longest, own, device)
