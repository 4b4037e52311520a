"""Evaluation on fresh variants while meta-training goes on; the best policy so far."""

import math
from dataclasses import replace

import torch

from metalearn.episodes import build_pool
from metalearn.validate import validate

SEED = 1_000_000  # seeds from here on are never trained on
VARIANTS = 4  # per family; with EPISODES, so few that an evaluation costs as a few outer steps
EPISODES = 8


class Evaluation:
    """Measures policies on the same fresh episodes of every family, shared out over the processes.

    The numbers serve to compare policies; the score of a run is made on yet other variants, since
    the best of several is flattered by the choice.

    Args:
        config: :class:`metalearn.config.Config`.
        spec: of the policies.
        device: where the episodes run.
        shard: families are dealt to processes in turn.
    """

    def __init__(self, config, spec, device, shard):
        self.spec, self.device, self.shard = spec, device, shard
        self.count = len(config.families)
        small, seed = replace(config, variants=VARIANTS), SEED + config.seed
        own = range(shard.rank, self.count, shard.size)
        self.pools = [build_pool(small, device, seed, f, 0) for f in own]

    def ratio(self, theta):
        """Time over the baseline's with the policy weights ``[n]``, mean over families."""
        scores = [validate(p, self.spec, theta, EPISODES, SEED) for p in self.pools]
        own = sum(1 / score.speedup for score in scores)
        total = self.shard.sum(torch.tensor([own], dtype=torch.float64, device=self.device))
        return total.item() / self.count


class Best:
    """The policy of the lowest ratio so far, and that ratio."""

    def __init__(self, theta):
        self.theta, self.ratio = theta.clone(), math.inf

    def offer(self, theta, ratio):
        """Keep ``theta`` if it is better; NaN never is."""
        if ratio < self.ratio:
            self.theta, self.ratio = theta.detach().clone(), ratio

    def state(self):
        """Name -> tensor, for a checkpoint."""
        ratio = torch.tensor(self.ratio, dtype=torch.float64)
        return {"best.theta": self.theta, "best.ratio": ratio}

    def restore(self, state):
        """Take up what :meth:`state` gave."""
        self.theta, self.ratio = state["best.theta"], state["best.ratio"].item()
