"""All benchmarks, each of the name of its module."""

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
    """Return the benchmark of a name; what others need is not imported."""
    return importlib.import_module(f"benchmarks.{name}")
