"""What each part of a learned policy contributes: parts are switched off without retraining.

All variants of the policy train the same fresh tasks of the training families on the same batches.
The score is the harmonic mean of the speed-up in steps over Adam(1e-3). Intervals are 95 %
bootstrap intervals over episodes; two variants are compared by paired differences.
"""

from pathlib import Path

import numpy as np
import torch

from benchmarks.origin import sentence
from benchmarks.settings import PolicySettings
from metalearn.config import Config
from metalearn.episodes import Pool, build_pools
from metalearn.validate import play
from policy.checkpoint import Policy, load_policy
from policy.rule.spec import FEATURES, TENSOR_FEATURES, Spec
from policy.rule.weights import flatten
from tasks import TRAINING_FAMILIES
from writing.markdown import table as table_of
from writing.statistics import interval, with_interval

NAME, PAGE = "ablation", "docs/behaviour.md"
Settings = PolicySettings
SEED = 3_000_000  # differs from meta-training, calibration and other benchmarks
DESCRIPTORS = 5  # the last tensor features, which describe the kind of tensor
MEASURED = slice(0, TENSOR_FEATURES - DESCRIPTORS)
DESCRIBED = slice(TENSOR_FEATURES - DESCRIPTORS, TENSOR_FEATURES)
LOSS = slice(TENSOR_FEATURES, FEATURES)
EPISODES, LONGEST = 8, 400  # episodes per family; most steps of the baseline to the target


def jobs(settings: Settings) -> list[Settings]:
    """Return one job, since all variants are compared on the same episodes."""
    return [settings]


def measure(settings: Settings) -> list[dict]:
    """Return one row per variant of the policy."""
    learned = load_policy(settings.policy)
    config = Config(Path("runs"), families=TRAINING_FAMILIES, groups=1, longest=LONGEST)
    pools = build_pools(config, torch.device("cpu"), SEED)
    variants = ablations(learned, mean_output(pools, learned, EPISODES))
    times = {name: ratios(pools, learned.spec, w) for name, w in variants.items()}
    return [{"name": n, **compare(t, times["the policy"])} for n, t in times.items()]


def about(settings: Settings, rows: list[dict]) -> dict:
    return {"families": TRAINING_FAMILIES, "episodes": EPISODES, "longest": LONGEST}


def table(result: dict) -> str:
    """Return one row per variant of the policy, and the origin of the numbers."""
    rows = [
        (
            row["name"],
            with_interval(row["speedup"], row["interval"]),
            with_interval(row["relative"], row["relative_interval"]),
        )
        for row in result["rows"]
    ]
    count = len(result["families"]) * result["episodes"]
    header = "variant", "speed-up", "over the policy's"
    return f"{table_of(header, rows)}\n\nn = {count} episodes. {sentence(result)}"


def without_inputs(weights: dict[str, torch.Tensor], rows: slice) -> dict[str, torch.Tensor]:
    """Return weights that ignore some inputs, as if they had their typical value of zero.

    The linear path only has the features as inputs.
    """
    edited = {name: value.clone() for name, value in weights.items()}
    for name in ("lstm.weight", "skip.weight"):
        edited[name][rows] = 0.0
    return edited


def without_memory(weights: dict[str, torch.Tensor], spec: Spec) -> dict[str, torch.Tensor]:
    """Return weights that reset hidden state and cell before each decision.

    The last output remains an input.
    """
    edited = without_inputs(weights, slice(FEATURES + 1, None))
    forget = slice(spec.hidden, 2 * spec.hidden)  # the second of four gates
    edited["lstm.weight"][:, forget] = 0.0
    edited["lstm.bias"][forget] = -100.0
    return edited


def without(weights: dict[str, torch.Tensor], *names: str) -> dict[str, torch.Tensor]:
    """Return the weights with the named ones set to zero."""
    return {n: torch.zeros_like(v) if n in names else v for n, v in weights.items()}


def constant(
    weights: dict[str, torch.Tensor], spec: Spec, output: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return weights that always choose the policy's mean log rate, for every tensor."""
    silent = without(weights, *weights)
    return {**silent, "head.bias": output.view(1) / spec.gain}


def ablations(policy: Policy, output: torch.Tensor) -> dict[str, dict[str, torch.Tensor]]:
    """Return name -> weights, the policy itself first.

    `output` is the policy's mean output, from `mean_output`.
    """
    spec, weights = policy
    # The mean hidden state, through which tensors exchange information.
    messages = slice(FEATURES + 1, FEATURES + 1 + spec.hidden)
    return {
        "the policy": weights,
        "no LSTM": without(weights, "head.weight"),
        "memory reset at each decision": without_memory(weights, spec),
        "no linear path": without(weights, "skip.weight"),
        "no message between tensors": without_inputs(weights, messages),
        "blind to the loss and time": without_inputs(weights, LOSS),
        "blind to gradients, steps, weights": without_inputs(weights, MEASURED),
        "blind to the kind of tensor": without_inputs(weights, DESCRIBED),
        "its mean rate, constant": constant(weights, spec, output),
        "base rate, constant": without(weights, *weights),
    }


def mean_output(pools: list[Pool], policy: Policy, episodes: int) -> torch.Tensor:
    """Return the mean log rate, relative to base rate and unit.

    The mean is over architectures, tensors and all decisions of unfinished episodes.
    """
    theta, means = flatten(policy.spec, policy.weights), []
    for pool in pools:
        seen = []

        def watch(particles, seen=seen):
            seen.append(particles.carry.memory.output[~particles.finished()].mean(1))

        play(pool, policy.spec, theta, episodes, SEED, watch)
        means.append(torch.cat(seen).mean())
    return torch.stack(means).mean()


def ratios(pools: list[Pool], spec: Spec, weights: dict[str, torch.Tensor]) -> np.ndarray:
    """Return times relative to the baseline's, `[pools, episodes]`.

    The same weights always get the same episodes.
    """
    theta = flatten(spec, weights)
    return np.array([play(p, spec, theta, EPISODES, SEED).spent.tolist() for p in pools])


def compare(times: np.ndarray, reference: np.ndarray) -> dict:
    """Return the speed-up, and its ratio to the reference's, each with its interval.

    The bootstrap resamples the episodes of each family, the same ones for both.
    """
    drawn = [np.arange(times.shape[1])] * len(times)

    def mean(of, drawn, axis):
        return np.mean([row[which].mean(axis) for row, which in zip(of, drawn, strict=True)], 0)

    def speedup(*drawn, axis):
        return 1 / mean(times, drawn, axis)

    def relative(*drawn, axis):
        return mean(reference, drawn, axis) / mean(times, drawn, axis)

    return {
        "speedup": 1 / times.mean(),
        "interval": interval(drawn, speedup),
        "relative": reference.mean() / times.mean(),
        "relative_interval": interval(drawn, relative),
        "per_family": (1 / times.mean(1)).tolist(),
    }
