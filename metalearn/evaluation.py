"""Evaluation on fresh variants, during meta-training and after it; the best policy so far."""

import math
from dataclasses import replace
from typing import NamedTuple

import torch

from metalearn.config import Config
from metalearn.episodes import build_pool
from metalearn.shard import Shard
from metalearn.validate import Score, validate
from policy.rule.spec import Spec


class Sample(NamedTuple):
    """Variants per family, episodes of each policy on them, and the first of the seeds."""

    variants: int
    episodes: int
    seed: int


# Seeds from these on are never trained on. Policies are compared on the first sample, as cheaply as
# a few outer steps; a run is scored on the second: the choice flatters the best of several.
COMPARISON = Sample(4, 8, 1_000_000)
SCORING = Sample(8, 16, 2_000_000)


class Evaluation:
    """Measures policies on the same fresh episodes of every family; families are dealt to processes
    in turn."""

    def __init__(
        self, config: Config, spec: Spec, sample: Sample, device: torch.device, shard: Shard
    ):
        self.families, self.spec, self.sample = config.families, spec, sample
        self.device, self.shard = device, shard
        small, seed = replace(config, variants=sample.variants, groups=1), sample.seed + config.seed
        own = range(shard.rank, len(config.families), shard.size)
        self.pools = {f: build_pool(small, device, seed, f, 0) for f in own}

    def scores(self, theta: torch.Tensor) -> list[Score]:
        """Return a score per family of the policy weights `[n]`, the same on every process."""
        shape = len(self.families), len(Score._fields) - 1
        numbers = torch.zeros(shape, dtype=torch.float64, device=self.device)
        for f, pool in self.pools.items():
            score = validate(pool, self.spec, theta, self.sample.episodes, self.sample.seed)
            numbers[f] = numbers.new_tensor(score[1:])
        rows = self.shard.sum(numbers).tolist()
        return [
            Score(family, speedup, error, solved, int(count))
            for family, (speedup, error, solved, count) in zip(self.families, rows, strict=True)
        ]

    def ratio(self, theta: torch.Tensor) -> float:
        """Return the time over the baseline's with the policy weights `[n]`, mean over families."""
        return sum(1 / score.speedup for score in self.scores(theta)) / len(self.families)


class Best:
    """The policy of the lowest ratio so far, that ratio, and the outer step that it is of."""

    def __init__(self, theta: torch.Tensor):
        self.theta, self.ratio, self.step = theta.clone(), math.inf, 0

    def offer(self, theta: torch.Tensor, ratio: float, step: int) -> None:
        """Keep `theta` if it is better; NaN never is."""
        if ratio < self.ratio:
            self.theta, self.ratio, self.step = theta.detach().clone(), ratio, step

    def state(self) -> dict[str, torch.Tensor]:
        """Return name -> tensor, for a checkpoint."""
        ratio = torch.tensor(self.ratio, dtype=torch.float64)
        return {"best.theta": self.theta, "best.ratio": ratio, "best.step": torch.tensor(self.step)}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Take up what `state` gave."""
        self.theta, self.ratio = state["best.theta"], state["best.ratio"].item()
        self.step = int(state["best.step"])
