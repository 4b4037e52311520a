"""All benchmarks, each named like its module."""

import importlib
from types import ModuleType

NAMES = (
    "ablation",
    "behaviour",
    "distribution",
    "driver_parts",
    "fine_tuning",
    "fixed_budgets",
    "fresh_races",
    "headline",
    "hindsight",
    "isolation_cost",
    "kinds",
    "meta_signal",
    "practice",
    "step_overhead",
    "throughput",
)


def benchmark(name: str) -> ModuleType:
    """Return the benchmark with this name; import no other."""
    return importlib.import_module(f"benchmarks.{name}")
