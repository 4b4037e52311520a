"""How much of a meta-gradient is signal, and how much of a meta-loss is luck.

    python -m benchmarks.meta_signal checkpoints/policy.safetensors --out docs/results/meta_signal.json

For each family and estimator several independent chains of truncations are run at the same policy.
The *cosine* of the mean gradients of two chains is 1 where an estimate is signal, and 0 where it is
noise. The *ratio* is the squared norm of the mean over the mean squared norm of one estimate,
without bias from the product of two chains; per million inner steps, so that estimators of several
costs compare. Linear path, and LSTM with its head, apart. Both are means over all pairs of chains,
with 95 % intervals from the jackknife over chains.

For each family the same episodes are run twice on other batches. *Luck* is the variance between the
two runs, over all variance: of the time to the target, and of the area under the curve.
"""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks.page import stamp
from metalearn.config import Config
from metalearn.episodes import build_pools
from metalearn.inner import InnerProblem
from metalearn.rollout import Rollout
from metalearn.shard import Shard
from metalearn.trainer import ESTIMATORS
from policy.checkpoint import digest, load_policy
from policy.rule.weights import flatten, linear_path, unflatten
from writing.files import write_json

SEED = 9_000_000  # not of meta-training, calibration and other benchmarks
FAMILIES = "cnn", "residual_mlp", "autoencoder", "elman_lm"
SIGMAS = {"actions": 0.35, "pes": 0.03, "es": 0.03}


def chain(pool, policy, kind, truncations, config, seed):
    """Meta-gradients at the policy, one for each truncation: ``[truncations, n]``."""
    generator = torch.Generator().manual_seed(seed)
    arguments = pool, policy.spec, config.pairs, config.truncation, Shard(), generator
    problem = InnerProblem(*arguments, meta_loss=config.meta_loss)
    theta = flatten(policy.spec, policy.weights)
    estimator = ESTIMATORS[kind](problem, len(theta), SIGMAS[kind], Shard(), generator)
    estimates = [estimator.estimate(theta).gradient for _ in range(truncations)]
    return torch.stack(estimates)


def summary(chains, mask, inner_steps):
    """Cosine and ratio with their intervals, of the weights that a mask chooses."""
    means = [c[:, mask].mean(0) for c in chains]
    squares = np.array([c[:, mask].square().sum(1).mean().item() for c in chains])
    norms = [max(m.norm().item(), 1e-30) for m in means]
    dots = np.full((len(chains), len(chains)), np.nan)
    for i, j in itertools.permutations(range(len(chains)), 2):
        dots[i, j] = (means[i] @ means[j]).item()

    def cosine(kept):
        return np.mean([dots[i, j] / (norms[i] * norms[j]) for i, j in _pairs(kept)])

    def ratio(kept):
        product = np.mean([dots[i, j] for i, j in _pairs(kept)])
        return product / squares[list(kept)].mean() / inner_steps * 1e6

    return {"cosine": _jackknife(cosine, chains), "ratio": _jackknife(ratio, chains)}


def _pairs(kept):
    return list(itertools.combinations(kept, 2))


def _jackknife(statistic, chains):
    every = range(len(chains))
    value = statistic(every)
    without = [statistic([j for j in every if j != i]) for i in every]
    count = len(chains)
    error = math.sqrt((count - 1) / count * np.square(without - np.mean(without)).sum())
    return [float(value), float(value - 1.96 * error), float(value + 1.96 * error)]


def luck(pool, policy, episodes):
    """Share of runs that miss, their share of the time, and the share of luck in the variance of
    time and area."""
    runs = [_played(pool, policy, episodes, batches) for batches in (0, 1)]
    missed = torch.cat([~run.reached for run in runs])
    spent = torch.cat([run.spent for run in runs])
    share = spent[missed].sum() / spent.sum()
    found = {"misses": missed.float().mean().item(), "of the time": share.item()}
    for name, field in (("time", "spent"), ("area", "distance")):
        costs = torch.stack([getattr(run, field) for run in runs]).double()
        within = (costs[0] - costs[1]).square().mean() / 2
        found[name] = (within / costs.var()).item()
    return found


@torch.no_grad()
def _played(pool, policy, episodes, batches):
    """Particles of finished episodes: the same episodes, other batches for each number."""
    rollout, spec = Rollout(pool, policy.spec), policy.spec
    drawn = pool.draw(episodes, torch.Generator().manual_seed(SEED), hard=0.0)
    particles = rollout.begin(drawn)
    theta = flatten(spec, policy.weights)
    weights = unflatten(spec, theta.expand(episodes, -1))
    generator = torch.Generator().manual_seed(SEED + batches)
    while not particles.finished().all():
        shape = spec.stride, episodes, pool.task.batch_size
        index = torch.randint(pool.task.train_size, shape, generator=generator)
        rollout.advance(particles, weights, index)
    return particles


def main(
    policy: tyro.conf.Positional[Path],
    out: Path = Path("runs/meta_signal.json"),
    estimators: tuple[str, ...] = ("actions", "pes"),
    chains: int = 6,
    truncations: int = 20,
    episodes: int = 64,
) -> None:
    """Measure signal and luck, family by family.

    Args:
        policy: policy file.
        out: results, as JSON.
        estimators: of `metalearn.trainer.ESTIMATORS`.
        chains: independent ones, of each family and estimator.
        truncations: of 50 steps, in a chain.
        episodes: that are run twice.
    """
    torch.set_num_threads(1)
    learned = load_policy(policy)
    config = Config(out.parent, groups=1, pairs=8, truncation=50, shortest=200, longest=1000)
    linear = linear_path(learned.spec).bool()
    steps = 2 * config.pairs * config.truncation
    rows, lucks = [], {}
    for family in FAMILIES:
        (pool,) = build_pools(replace(config, families=(family,)), torch.device("cpu"), SEED)
        lucks[family] = luck(pool, learned, episodes)
        for kind in estimators:
            found = [
                chain(pool, learned, kind, truncations, config, SEED + i) for i in range(chains)
            ]
            row = {
                "linear path": summary(found, linear, steps),
                "LSTM": summary(found, ~linear, steps),
            }
            rows.append({"family": family, "estimator": kind, **row})
            print(rows[-1], flush=True)
    settings = {"chains": chains, "truncations": truncations, "episodes": episodes}
    result = {**stamp("cpu", SEED), "policy sha256": digest(learned), **settings}
    write_json(out, {**result, "rows": rows, "luck": lucks})


if __name__ == "__main__":
    tyro.cli(main)
