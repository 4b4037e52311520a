"""What is run: every network with every setting of every optimizer, seed by seed."""

from dataclasses import dataclass

from benchmarks import settings
from benchmarks.practice.networks import NETWORKS
from benchmarks.practice.optimizers import OPTIMIZERS

IDENTITY = "network", "optimizer", "setting", "seed", "budget", "width"


@dataclass(frozen=True, kw_only=True)
class Settings(settings.Settings):
    """Train networks for fixed numbers of steps; runs that the result file has are left out."""

    networks: tuple[str, ...] = tuple(NETWORKS)
    """Networks to train."""

    optimizers: tuple[str, ...] = tuple(OPTIMIZERS)
    """Optimizers, each with its whole grid."""

    seeds: int = 3
    """Initial weights and orders of batches."""

    budget: int = 1
    """Times the usual steps."""

    width: int = 1
    """Times the usual width."""


def jobs(settings: Settings) -> list[dict]:
    """Return all runs, those of the first seed first."""
    return [
        {
            "network": network,
            "optimizer": optimizer,
            "setting": setting,
            "seed": seed,
            "budget": settings.budget,
            "width": settings.width,
        }
        for seed in range(settings.seeds)
        for network in settings.networks
        for optimizer in settings.optimizers
        for setting in OPTIMIZERS[optimizer].grid
    ]


def key(run: dict) -> tuple:
    """Return what a run is known by, as a job and as a row."""
    return tuple(run[name] for name in IDENTITY)
