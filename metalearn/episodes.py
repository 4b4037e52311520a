"""Episodes: a task variant, a target test loss on its baseline curve, the baseline's time to it."""

import itertools
import math
from typing import NamedTuple

import torch

from tasks import BatchedTask, adam_curve, sample_group

TEST_EVERY = 5  # steps between two points of the baseline's curve
LIMIT = 1.6  # an episode ends as a miss at this multiple of the baseline's time
TEST_SAMPLES = 100  # per test: every few steps one is made, so it has to be cheap


class Episode(NamedTuple):
    """What a particle trains and when it is done, each ``[n]``."""

    which: torch.Tensor  # variant, an index into the group's variants
    target: torch.Tensor  # test loss to get below
    baseline: torch.Tensor  # inner steps that Adam(1e-3) takes to it


class Pool:
    """The variants of one group with their baseline curves; draws episodes from them.

    Args:
        variants: share architecture, data set and batch size (see :func:`tasks.sample_group`).
        shortest, longest: range of the baseline's time, in inner steps.
        seed: of the baseline's batches.

    Raises:
        ValueError: a variant whose baseline loss is not finite.
    """

    def __init__(self, variants, shortest, longest, seed, device="cpu"):
        self.task = BatchedTask(variants, device=device, test_samples=TEST_SAMPLES)
        self.family = variants[0].family
        self.curve = adam_curve(self.task, longest, TEST_EVERY, seed)
        bad = (~torch.isfinite(self.curve[:, 0])).nonzero().flatten().tolist()
        if bad:
            raise ValueError(f"{variants[bad[0]]}: its initial test loss is not finite; drop it")
        # Best so far; infinities of a baseline that diverged never become a target.
        self.best = torch.nan_to_num(self.curve, nan=math.inf).cummin(1).values
        self.first, self.last = max(shortest // TEST_EVERY, 1), longest // TEST_EVERY

    def draw(self, count, generator, longest=None):
        """``count`` episodes; lengths log-uniform; the generator is one of the pool's device.

        Args:
            longest: inner steps, for lengths below the pool's longest; None: the pool's.
        """
        random = {"generator": generator, "device": self.curve.device}
        which = torch.randint(len(self.curve), (count,), **random)
        last = self.last if longest is None else min(longest / TEST_EVERY, self.last)
        span = math.log(max(last / self.first, 1.0))
        point = self.first * torch.exp(span * torch.rand(count, **random))
        best = self.best[which]
        level = best.gather(1, point.round().long()[:, None])
        # The first time at this level: on a plateau the baseline was there before the drawn time.
        reached = (best <= level).float().argmax(1).clamp(min=1)
        target = best.gather(1, reached[:, None])[:, 0]
        # ``Done`` asks for strictly less.
        return Episode(which, target + 1e-6 * target.abs(), reached.to(target) * TEST_EVERY)


def build_pools(config, device, seed):
    """One pool per group, in the order of ``config.families``; variants and batches from
    ``seed``."""
    numbers = range(len(config.families)), range(config.groups)
    return [build_pool(config, device, seed, f, g) for f, g in itertools.product(*numbers)]


def build_pool(config, device, seed, f, g):
    """Pool of group ``g`` of the ``f``-th family."""
    own = seed * 10_000 + f * 100 + g
    variants = sample_group(config.families[f], own, config.variants)
    return Pool(variants, config.shortest, config.longest, own, device)
