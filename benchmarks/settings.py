"""Settings that benchmarks have in common."""

from dataclasses import dataclass
from pathlib import Path

CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
SHIPPED = Path("checkpoints/policy.safetensors")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Run a benchmark."""

    out: Path | None = None
    """Result file; by default the one that the page shows."""

    processes: int = 2
    """Jobs at a time; benchmarks that time steps run one."""


@dataclass(frozen=True, kw_only=True)
class PolicySettings(Settings):
    """Run a benchmark of a policy."""

    policy: Path = SHIPPED
    """Policy file."""
