"""The runs: a grid search on the first seed, then its best setting on the other seeds."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks import settings
from benchmarks.practice.networks import NETWORKS
from benchmarks.practice.optimizers import OPTIMIZERS
from benchmarks.results import FOLDER, read
from policy.checkpoint import digest
from policy.shipped import shipped_policy
from writing.statistics import grouped

RESULT = FOLDER / "practice.jsonl"
CASE = "network", "optimizer", "budget", "width"
IDENTITY = *CASE, "setting", "policy", "seed"


@dataclass(frozen=True, kw_only=True)
class Settings(settings.Settings):
    """Train networks for fixed numbers of steps; skip runs that are in the result file.

    The first seed tries every setting of an optimizer; the others only use the best of these.
    Run this again once the first seed is measured.
    """

    networks: tuple[str, ...] = tuple(NETWORKS)
    """Networks to train."""

    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)
    """Optimizers, each with its full grid."""

    seeds: int = 3
    """Initial weights and orders of batches."""

    budget: int = 1
    """Multiple of the usual number of steps."""

    width: int = 1
    """Multiple of the usual width."""


def jobs(settings: Settings) -> list[dict]:
    """Return all runs whose setting is known, first seed first."""
    out = settings.out or RESULT
    done = grouped(read(out)["rows"] if out.exists() else (), *CASE)
    found = []
    for seed, network, optimizer in itertools.product(
        range(settings.seeds), settings.networks, settings.optimizers
    ):
        case = network, optimizer, settings.budget, settings.width
        grid = OPTIMIZERS[optimizer].grid
        for setting in chosen(grid, done.get(case, ())) if seed else grid:
            own = {"setting": setting, "seed": seed, "policy": _policy(optimizer)}
            found.append({**dict(zip(CASE, case, strict=True)), **own})
    return found


def chosen(grid: tuple[str, ...], rows: Sequence[dict]) -> tuple[str, ...]:
    """Return the best setting on the first seed, or nothing until the whole grid has been tried."""
    runs = grouped([row for row in rows if row["seed"] == 0], "setting")
    if len(grid) == 1:
        return grid
    return (best(runs),) if set(grid) <= set(runs) else ()


def best(settings: dict[str, Sequence[dict]]) -> str:
    """Return the setting with the lowest mean final loss."""
    return min(settings, key=lambda setting: np.mean([final(run) for run in settings[setting]]))


def final(run: dict) -> float:
    """Return the last loss of a run, infinite if it is NaN."""
    loss = run["curve"]["loss"][-1]
    return math.inf if loss is None else loss


def _policy(optimizer):
    """Return what identifies the policy of LearnedLR's runs: other weights make other runs."""
    return digest(shipped_policy())[:12] if optimizer in ("learned", "annealed") else None


def key(run: dict) -> tuple:
    """Return what identifies a run, as a job and as a row."""
    return tuple(run[name] for name in IDENTITY)
