"""Settings that benchmarks have in common."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Run a benchmark."""

    out: Path | None = None
    """Result file; by default the one shown on the page."""

    processes: int = 2
    """Number of jobs at a time; benchmarks that time steps always run one."""


@dataclass(frozen=True, kw_only=True)
class PolicySettings(Settings):
    """Run a benchmark of a policy."""

    policy: Path = Path("checkpoints/policy.safetensors")
    """Policy file."""
