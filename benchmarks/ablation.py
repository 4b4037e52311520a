"""What each part of a learned policy is worth: switched off in its weights, without learning anew.

    python -m benchmarks.ablation checkpoints/policy.safetensors --out docs/results/ablation.json
    python -m benchmarks.ablation_table docs/results/ablation.json docs/behaviour.md

All variants of the policy train the same fresh tasks of the training families on the same batches;
the score is the harmonic mean of speed-ups in steps over Adam(1e-3). Intervals are 95 % bootstrap
intervals over episodes, of paired differences where two variants are compared.
"""

from pathlib import Path

import numpy as np
import torch
import tyro

from benchmarks.page import stamp
from metalearn.config import Config
from metalearn.episodes import build_pools
from metalearn.validate import play
from policy.checkpoint import digest, load_policy
from policy.rule.spec import DIRECTIONS, GLOBAL_FEATURES, TENSOR_FEATURES
from policy.rule.weights import flatten
from tasks import TRAINING_FAMILIES
from writing.files import write_json

SEED = 3_000_000  # not of meta-training, calibration and other benchmarks
DESCRIPTORS = 5  # the last of the tensor features: what kind of tensor it is
FEATURES = TENSOR_FEATURES + GLOBAL_FEATURES
MEASURED = slice(0, TENSOR_FEATURES - DESCRIPTORS)
DESCRIBED = slice(TENSOR_FEATURES - DESCRIPTORS, TENSOR_FEATURES)
LOSS = slice(TENSOR_FEATURES, FEATURES)
RESAMPLES = 2000


def without_inputs(weights, rows):
    """Blind to some features, whose typical value is zero."""
    edited = {name: value.clone() for name, value in weights.items()}
    for name in ("lstm.weight", "skip.weight"):
        edited[name][rows] = 0.0
    return edited


def without_messages(weights, spec):
    """Blind to the mean hidden state, by which tensors tell each other of themselves."""
    edited = {name: value.clone() for name, value in weights.items()}
    start = FEATURES + DIRECTIONS
    edited["lstm.weight"][start : start + spec.hidden] = 0.0
    return edited


def without(weights, *names):
    """Some weights at zero."""
    return {n: torch.zeros_like(v) if n in names else v for n, v in weights.items()}


def without_direction(weights, direction):
    """The rate of one direction at its least, e^-7 of the base rate."""
    edited = {name: value.clone() for name, value in weights.items()}
    for name in ("head.weight", "skip.weight"):
        edited[name][:, direction] = 0.0
    edited["head.bias"][direction] = -100.0
    return edited


def constant(weights, spec, outputs):
    """The mean of the log rates that the policy chose, for all tensors at all times; the rules for
    orthogonal rates of matrices still act."""
    silent = without(weights, *weights)
    return {**silent, "head.bias": outputs / spec.gain}


def ablations(policy, outputs):
    """Name -> weights; the first one is the policy itself. ``outputs`` ``[DIRECTIONS]``."""
    weights, spec = policy.weights, policy.spec
    return {
        "the policy": weights,
        "no LSTM": without(weights, "head.weight"),
        "no linear path": without(weights, "skip.weight"),
        "no message between tensors": without_messages(weights, spec),
        "blind to the loss, target and time": without_inputs(weights, LOSS),
        "blind to gradients, steps, weights": without_inputs(weights, MEASURED),
        "blind to the kind of tensor": without_inputs(weights, DESCRIBED),
        "fast direction off": without_direction(weights, 0),
        "slow direction off": without_direction(weights, 1),
        "orthogonal direction off": without_direction(weights, 2),
        "its mean rate, constant": constant(weights, spec, outputs),
        "base rate, constant": without(weights, *weights),
    }


def mean_outputs(pools, policy, episodes):
    """Mean log rate over base rate and unit, ``[DIRECTIONS]``, over architectures, tensors, and all
    decisions of episodes that have not ended."""
    theta, means = flatten(policy.spec, policy.weights), []
    for pool in pools:
        seen = []

        def watch(particles, seen=seen):
            seen.append(particles.carry.memory.output[~particles.finished()].mean(1))

        play(pool, policy.spec, theta, episodes, SEED, watch)
        means.append(torch.cat(seen).mean(0))
    return torch.stack(means).mean(0)


def ratios(pools, spec, weights, episodes):
    """Time over the baseline's, ``[pools, episodes]``; equal weights meet equal episodes."""
    theta = flatten(spec, weights)
    return np.array([play(p, spec, theta, episodes, SEED).spent.tolist() for p in pools])


def interval(values):
    """2.5 % and 97.5 % quantiles."""
    return np.quantile(values, (0.025, 0.975)).tolist()


def compare(times, reference, generator):
    """Speed-up, and speed-up over the reference's, each with its interval."""
    draws = generator.integers(times.shape[1], size=(RESAMPLES, *times.shape))
    resampled = [np.take_along_axis(t[None], draws, 2).mean((1, 2)) for t in (times, reference)]
    return {
        "speedup": 1 / times.mean(),
        "interval": interval(1 / resampled[0]),
        "relative": reference.mean() / times.mean(),
        "relative_interval": interval(resampled[1] / resampled[0]),
        "per_family": (1 / times.mean(1)).tolist(),
    }


def main(
    policy: tyro.conf.Positional[Path],
    out: Path,
    families: tuple[str, ...] = TRAINING_FAMILIES,
    episodes: int = 16,
    longest: int = 600,
) -> None:
    """Measure all variants of a policy and write the result.

    Args:
        policy: policy file.
        out: result file.
        families: task families, one fresh architecture each.
        episodes: of each family, with 8 task variants.
        longest: steps of the baseline to the target, at most; from 50 on, log-uniform.
    """
    torch.set_num_threads(1)
    learned = load_policy(policy)
    config = Config(out.parent, families=families, groups=1, longest=longest)
    pools = build_pools(config, torch.device("cpu"), SEED)
    variants = ablations(learned, mean_outputs(pools, learned, episodes))
    times = {name: ratios(pools, learned.spec, w, episodes) for name, w in variants.items()}
    generator = np.random.default_rng(SEED)
    rows = {name: compare(t, times["the policy"], generator) for name, t in times.items()}
    result = {
        **stamp("cpu", SEED),
        "policy sha256": digest(learned),
        "families": families,
        "episodes": episodes,
        "longest": longest,
        "rows": rows,
    }
    write_json(out, result)


if __name__ == "__main__":
    tyro.cli(main)
