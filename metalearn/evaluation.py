"""Evaluate policies on fresh variants, during and after meta-training, and keep the best."""

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
    """Variants per family, episodes per family and policy, and the first seed."""

    variants: int
    episodes: int
    seed: int


# Training never uses seeds this high. COMPARISON selects the best policy, and costs as little as a
# few outer steps. SCORING scores the run on other episodes, since selection biases the best score.
COMPARISON = Sample(4, 8, 1_000_000)
SCORING = Sample(8, 16, 2_000_000)


class Evaluation:
    """Measures policies on the same fresh episodes of every family, split among processes."""

    def __init__(
        self, config: Config, spec: Spec, sample: Sample, device: torch.device, shard: Shard
    ):
        self.families, self.spec, self.sample = config.families, spec, sample
        self.device, self.shard = device, shard
        small, seed = replace(config, variants=sample.variants, groups=1), sample.seed + config.seed
        own = range(shard.rank, len(config.families), shard.size)
        self.pools = {f: build_pool(small, device, seed, f, 0) for f in own}

    def scores(self, theta: torch.Tensor) -> list[Score]:
        """Return the score of the policy weights `[n]` per family, equal on every process."""
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
        """Return the time over the baseline's, mean over families, with policy weights `[n]`."""
        return sum(1 / score.speedup for score in self.scores(theta)) / len(self.families)


class Best:
    """The policy with the lowest ratio so far, its ratio and its outer step."""

    def __init__(self, theta: torch.Tensor):
        self.theta, self.ratio, self.step = theta.clone(), math.inf, 0

    def offer(self, theta: torch.Tensor, ratio: float, step: int) -> None:
        """Keep `theta` if its ratio is lower. NaN never is."""
        if ratio < self.ratio:
            self.theta, self.ratio, self.step = theta.detach().clone(), ratio, step

    def state(self) -> dict[str, torch.Tensor]:
        """Return the state for a checkpoint, name -> tensor."""
        ratio = torch.tensor(self.ratio, dtype=torch.float64)
        return {"best.theta": self.theta, "best.ratio": ratio, "best.step": torch.tensor(self.step)}

    def restore(self, state: dict[str, torch.Tensor]) -> None:
        """Restore what `state` returned."""
        self.theta, self.ratio = state["best.theta"], state["best.ratio"].item()
        self.step = int(state["best.step"])
