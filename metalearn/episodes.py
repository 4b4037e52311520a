"""Episodes: a task variant, a target on a test curve of the baseline, and the time to it."""

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
TEST_SAMPLES = 100  # per test; tests are frequent, so they must be cheap
GROUPS = 100_000  # most groups per seed, over all generations
HARD_SHARE = 1 / 3  # share of training episodes with a hard target


class Episode(NamedTuple):
    """The variants that n particles train, and their targets. Each `[n]`."""

    which: torch.Tensor  # variant, an index into the group's variants
    target: torch.Tensor  # test loss to fall below
    baseline: torch.Tensor  # inner steps that the baseline takes to the target


class Pool:
    """The variants of one group and their baseline curves, from which it draws episodes.

    An ordinary target is on the test curve of Adam(1e-3). A hard target is on the lower of this and
    the curve of Adam's averaged weights, and the baseline's time is read from the same curve.

    Args:
        variants: variants of one architecture, data set and batch size (`tasks.sample_group`).
        shortest, longest: range of the baseline's time, in inner steps.
        seed: seed of the baseline's batches.

    Raises ValueError if a variant's initial test loss is not finite.
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
        """Return `count` episodes of log-uniform lengths.

        Args:
            longest: upper bound of the lengths, if below the pool's.
            hard: share of hard targets; 0 for a score relative to Adam(1e-3) alone.
        """
        random: dict[str, Any] = {"generator": generator, "device": self.curve.device}
        which = torch.randint(len(self.curve), (count,), **random)
        last = self.longest if longest is None else min(longest, self.longest)
        span = math.log(max(last / self.shortest, 1.0))
        time = self.shortest * torch.exp(span * torch.rand(count, **random))
        is_hard = torch.rand(count, **random) < hard
        best = torch.where(is_hard[:, None], self.hard[which], self.ordinary[which])
        level = best.gather(1, self._nearest(time)[:, None])
        # Take the first time at this level: on a plateau it precedes the drawn time. The target has
        # to be below the initial loss, or the untrained network would reach it.
        is_there = (best <= level) & (best < best[:, :1])
        is_there = torch.where(is_there.any(1, keepdim=True), is_there, best < best[:, :1])
        reached = is_there.float().argmax(1).clamp(min=1)
        target = best.gather(1, reached[:, None])[:, 0]
        # `Done` requires a loss strictly below the target.
        target = target + 1e-6 * target.abs()
        return Episode(which, target, self.steps[reached].to(target))

    def _nearest(self, time):
        """Return the index of the test nearest to each time `[n]`."""
        middles = (self.steps[1:] + self.steps[:-1]) / 2
        return torch.searchsorted(middles.to(time), time)


def _best_so_far(curve):
    """Return the running minimum of a curve, in which NaN is infinite and so never a target."""
    return torch.nan_to_num(curve, nan=math.inf).cummin(1).values


def build_pools(
    config: Config, device: torch.device, seed: int, shard: Shard | None = None
) -> list[Pool]:
    """Return a pool per group, in the order of `config.families`.

    Each process builds its share first, and then finds the curves of the others in the cache.
    Raises DataError if a data set that may be drawn lacks its files.
    """
    shard = shard or Shard()
    if config.files:  # fail now rather than hours later, when a group is replaced
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
    """Return the pool of group `g` of family `f`. Each generation has another architecture."""
    group, groups = f * config.groups + g, len(config.families) * config.groups
    own = seed * GROUPS + generation * groups + group
    family, count = config.families[f], config.variants
    if config.working_size and (group + generation) % 2:
        variants = sample_working_group(family, own, count, config.files)
    else:
        variants = sample_group(family, own, count, config.files, config.augment)
    return Pool(variants, config.shortest, config.longest, own, device)
