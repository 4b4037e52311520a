"""All benchmarks, each of the name of its module."""

import importlib
from types import ModuleType

NAMES = (
    "ablation",
    "batch_sizes",
    "behaviour",
    "detection",
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
    "policy_races",
    "pooled_runs",
    "practice",
    "scaling",
    "step_overhead",
    "test_schedule",
    "throughput",
    "trained_weights",
    "widths",
)


def benchmark(name: str) -> ModuleType:
    """Return the benchmark of a name; what others need is not imported."""
    return importlib.import_module(f"benchmarks.{name}")
