"""What each part of a learned policy is worth: switched off in its weights, without learning anew.

All variants of the policy train the same fresh tasks of the training families on the same batches;
the score is the harmonic mean of speed-ups in steps over Adam(1e-3). Intervals are 95 % bootstrap
intervals over episodes, of paired differences where two variants are compared.
"""

from pathlib import Path

import numpy as np
import torch

from benchmarks.origin import sentence
from benchmarks.settings import PolicySettings
from benchmarks.statistics import interval, with_interval
from metalearn.config import Config
from metalearn.episodes import Pool, build_pools
from metalearn.validate import play
from policy.checkpoint import Policy, load_policy
from policy.rule.spec import FEATURES, TENSOR_FEATURES, Spec
from policy.rule.weights import flatten
from tasks import TRAINING_FAMILIES
from writing.markdown import table as table_of

NAME, PAGE = "ablation", "docs/behaviour.md"
Settings = PolicySettings
SEED = 3_000_000  # not of meta-training, calibration and other benchmarks
DESCRIPTORS = 5  # the last of the tensor features: what kind of tensor it is
MEASURED = slice(0, TENSOR_FEATURES - DESCRIPTORS)
DESCRIBED = slice(TENSOR_FEATURES - DESCRIPTORS, TENSOR_FEATURES)
LOSS = slice(TENSOR_FEATURES, FEATURES)
EPISODES, LONGEST = 8, 400  # of each family; steps of the baseline to the target, at most


def jobs(settings: Settings) -> list[Settings]:
    """One job: all variants are compared on the same episodes."""
    return [settings]


def measure(settings: Settings) -> list[dict]:
    """One row a variant of the policy."""
    learned = load_policy(settings.policy)
    config = Config(Path("runs"), families=TRAINING_FAMILIES, groups=1, longest=LONGEST)
    pools = build_pools(config, torch.device("cpu"), SEED)
    variants = ablations(learned, mean_output(pools, learned, EPISODES))
    times = {name: ratios(pools, learned.spec, w) for name, w in variants.items()}
    return [{"name": n, **compare(t, times["the policy"])} for n, t in times.items()]


def about(settings: Settings, rows: list[dict]) -> dict:
    return {"families": TRAINING_FAMILIES, "episodes": EPISODES, "longest": LONGEST}


def table(result: dict) -> str:
    """One row a variant of the policy, and where the numbers come from."""
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
    """Blind to some inputs, whose typical value is zero; the linear path has the features alone."""
    edited = {name: value.clone() for name, value in weights.items()}
    for name in ("lstm.weight", "skip.weight"):
        edited[name][rows] = 0.0
    return edited


def without_memory(weights: dict[str, torch.Tensor], spec: Spec) -> dict[str, torch.Tensor]:
    """Hidden state and cell at zero before each decision; the last output is seen."""
    edited = without_inputs(weights, slice(FEATURES + 1, None))
    forget = slice(spec.hidden, 2 * spec.hidden)  # the second of four gates
    edited["lstm.weight"][:, forget] = 0.0
    edited["lstm.bias"][forget] = -100.0
    return edited


def without(weights: dict[str, torch.Tensor], *names: str) -> dict[str, torch.Tensor]:
    """Some weights at zero."""
    return {n: torch.zeros_like(v) if n in names else v for n, v in weights.items()}


def constant(
    weights: dict[str, torch.Tensor], spec: Spec, output: torch.Tensor
) -> dict[str, torch.Tensor]:
    """The mean of the log rates that the policy chose, for all tensors at all times."""
    silent = without(weights, *weights)
    return {**silent, "head.bias": output.view(1) / spec.gain}


def ablations(policy: Policy, output: torch.Tensor) -> dict[str, dict[str, torch.Tensor]]:
    """Name -> weights; the first one is the policy itself. `output`: its mean, of `mean_output`."""
    spec, weights = policy
    # The mean hidden state, by which tensors tell each other of themselves.
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
    """Mean log rate over base rate and unit, over architectures, tensors, and all decisions of
    episodes that have not ended."""
    theta, means = flatten(policy.spec, policy.weights), []
    for pool in pools:
        seen = []

        def watch(particles, seen=seen):
            seen.append(particles.carry.memory.output[~particles.finished()].mean(1))

        play(pool, policy.spec, theta, episodes, SEED, watch)
        means.append(torch.cat(seen).mean())
    return torch.stack(means).mean()


def ratios(pools: list[Pool], spec: Spec, weights: dict[str, torch.Tensor]) -> np.ndarray:
    """Time over the baseline's, `[pools, episodes]`; equal weights meet equal episodes."""
    theta = flatten(spec, weights)
    return np.array([play(p, spec, theta, EPISODES, SEED).spent.tolist() for p in pools])


def compare(times: np.ndarray, reference: np.ndarray) -> dict:
    """Speed-up, and speed-up over the reference's, each with its interval: episodes of a family are
    drawn, those of both together."""
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
