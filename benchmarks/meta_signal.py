"""The share of signal in a meta-gradient, and the share of luck in a meta-loss.

Several independent chains of truncations run at the same policy, for each family and estimator. The
*cosine* of the mean gradients of two chains is 1 for pure signal and 0 for pure noise. The *ratio*
is the squared norm of the mean gradient over the mean squared norm of one estimate, per million
inner steps; the product of two chains estimates the former without bias. Both are means over all
pairs of chains, with 95 % jackknife intervals over chains. The linear path, and the LSTM with its
head, are shown separately.

The same episodes are also run twice on different batches. *Luck* is the share of the variance
between the two runs in the total variance, of the time to the target and of the area under the
curve.
"""

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.origin import sentence
from benchmarks.settings import PolicySettings
from metalearn.config import Config
from metalearn.episodes import Pool, build_pools
from metalearn.inner import InnerProblem
from metalearn.rollout import Rollout
from metalearn.shard import Shard
from metalearn.trainer import ESTIMATORS
from policy.checkpoint import Policy, load_policy
from policy.rule.weights import flatten, linear_path, unflatten
from writing.markdown import table as table_of
from writing.statistics import with_interval

NAME, PAGE = "meta_signal", "docs/metalearn.md"
Settings = PolicySettings
SEED = 9_000_000  # differs from meta-training, calibration and other benchmarks
FAMILIES = "cnn", "residual_mlp", "autoencoder", "elman_lm"  # one architecture each
ESTIMATED = "actions", "pes"
CHAINS, TRUNCATIONS = 6, 20  # chains per family and estimator; truncations (50 steps) per chain
EPISODES = 64  # each run twice
PARTS = "linear path", "LSTM"
CELLS = [(part, what) for part in PARTS for what in ("cosine", "ratio")]
HEADER = "family", "estimator", *(f"{part}: {what}" for part, what in CELLS)
LUCK_HEADER = "family", "runs that miss", "their share of the time", "luck in time", "in area"


def jobs(settings: Settings) -> list[tuple]:
    """Return families with the policy, each with one estimator, or with None for its luck."""
    policy = load_policy(settings.policy)
    return [(family, kind, policy) for family in FAMILIES for kind in (*ESTIMATED, None)]


def measure(job: tuple) -> list[dict]:
    """Return the row of one job."""
    family, kind, policy = job
    config = Config(Path(), families=(family,), groups=1, truncation=50, shortest=200, longest=1000)
    (pool,) = build_pools(config, torch.device("cpu"), SEED)
    if kind is None:
        return [{"family": family, **luck(pool, policy)}]
    chains = [_chain(pool, policy, kind, config, SEED + i) for i in range(CHAINS)]
    linear = linear_path(policy.spec).bool()
    steps = 2 * config.pairs * config.truncation
    found = {
        part: signal([chain[:, mask] for chain in chains], steps)
        for part, mask in zip(PARTS, (linear, ~linear), strict=True)
    }
    return [{"family": family, "estimator": kind, **found}]


def _chain(pool, policy, kind, config, seed):
    """Return the meta-gradients at the policy, one per truncation: `[TRUNCATIONS, n]`."""
    generator = torch.Generator().manual_seed(seed)
    arguments = pool, policy.spec, config.pairs, config.truncation, Shard(), generator
    theta = flatten(policy.spec, policy.weights)
    sigma = config.noise if kind == "actions" else config.sigma
    problem = InnerProblem(*arguments, meta_loss=config.meta_loss)
    estimator = ESTIMATORS[kind](problem, len(theta), sigma, Shard(), generator)
    return torch.stack([estimator.estimate(theta).gradient for _ in range(TRUNCATIONS)])


def signal(chains: Sequence[torch.Tensor], inner_steps: int) -> dict:
    """Return cosine and ratio of chains of estimates, with their intervals.

    Each chain is `[truncations, n]`. `inner_steps` is the cost of one estimate.
    """
    means = torch.stack([chain.mean(0) for chain in chains]).double()
    squares = np.array([chain.double().square().sum(1).mean().item() for chain in chains])
    products = (means @ means.T).numpy()
    norms = np.sqrt(np.diag(products)).clip(1e-30)

    def cosine(kept):
        return np.mean([products[i, j] / norms[i] / norms[j] for i, j in _pairs(kept)])

    def ratio(kept):
        product = np.mean([products[i, j] for i, j in _pairs(kept)])
        return product / squares[kept].mean() / inner_steps * 1e6

    return {"cosine": _jackknife(cosine, len(chains)), "ratio": _jackknife(ratio, len(chains))}


def _pairs(kept):
    return list(itertools.combinations(kept, 2))


def _jackknife(statistic, count):
    """Return the value of a statistic of indices, and the ends of its interval."""
    every = list(range(count))
    value = float(statistic(every))
    without = np.array([statistic(every[:i] + every[i + 1 :]) for i in every])
    error = math.sqrt((count - 1) / count * np.square(without - without.mean()).sum())
    return [value, value - 1.96 * error, value + 1.96 * error]


def luck(pool: Pool, policy: Policy) -> dict:
    """Return the share of missed runs, their share of the time, and the share of luck.

    Luck is given for time and for area.
    """
    runs = [_played(pool, policy, SEED + i) for i in range(2)]
    missed = torch.cat([~run.reached for run in runs])
    spent = torch.cat([run.spent for run in runs])
    return {
        "misses": missed.float().mean().item(),
        "of the time": (spent[missed].sum() / spent.sum()).item(),
        "time": _between(*(run.spent for run in runs)),
        "area": _between(*(run.distance for run in runs)),
    }


def _between(one, two):
    """Return the share of the variance between two runs `[n]` of each episode."""
    within = (one - two).double().square().mean() / 2
    return (within / torch.cat([one, two]).double().var()).item()


@torch.no_grad()
def _played(pool, policy, batches):
    """Return the particles of finished episodes.

    The episodes are always the same; `batches` seeds the batches.
    """
    rollout, spec = Rollout(pool, policy.spec), policy.spec
    particles = rollout.begin(pool.draw(EPISODES, torch.Generator().manual_seed(SEED), hard=0.0))
    weights = unflatten(spec, flatten(spec, policy.weights).expand(EPISODES, -1))
    generator = torch.Generator().manual_seed(batches)
    while not particles.finished().all():
        shape = spec.stride, EPISODES, pool.task.batch_size
        index = torch.randint(pool.task.train_size, shape, generator=generator)
        rollout.advance(particles, weights, index)
    return particles


def table(result: dict) -> str:
    """Return signal, then luck, and the origin of the numbers."""
    signals = [row for row in result["rows"] if "estimator" in row]
    rows = [
        (row["family"], row["estimator"])
        + tuple(with_interval(row[part][what][0], row[part][what][1:]) for part, what in CELLS)
        for row in signals
    ]
    lucks = [
        (row["family"], *(f"{row[key]:.2g}" for key in ("misses", "of the time", "time", "area")))
        for row in result["rows"]
        if "estimator" not in row
    ]
    both = f"{table_of(HEADER, rows)}\n\n{table_of(LUCK_HEADER, lucks)}"
    return f"{both}\n\n{sentence(result)}"
