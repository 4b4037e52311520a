"""What each part of the driver is worth, and the restraint of rates: whole runs without it.

On the pairs of `development` and on a narrow ResNet with batch norm, whose task tests with the
training run's statistics, as the challenge's image task does. Runs with all parts and without each
of them alternate; two with all parts show how far repeats lie apart. The driver goes by the
processor's time here, so that other work on the machine decides nothing.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np

from benchmarks.origin import sentence
from benchmarks.results import grouped
from benchmarks.settings import PolicySettings
from benchmarks.statistics import mean_cell
from benchmarks.steps import whole_run
from policy.driver.batch_size import BatchSize
from policy.driver.learner import Learner
from policy.driver.plateau import Plateau
from policy.driver.schedule import Schedule
from policy.driver.tester import Tester
from policy.loading import load_policy
from policy.rule import controller
from tasks import Variant
from tasks.suites import suite
from writing.markdown import table as table_of

NAME, PAGE = "driver_parts", "docs/driver.md"
RESNET = Variant(
    "resnet",
    "fashion",
    {"width": 4, "stages": 4, "depth": 2, "norm": "batch"},
    {"pixels": 28, "train": 5_000, "test": 1_000},
    batch_size=32,
    target=0.68,  # Adam(1e-3) takes 136 to 228 steps
)


# What takes a part away: class or module, name in it, what stands for it.
PARTS: dict[str, tuple] = {
    "all": (),
    "all again": (),
    "batch size": (BatchSize, "is_due", lambda *_: False),
    "own statistics": (Tester, "_renew_statistics", lambda *_: True),
    "plateau": (Plateau, "record", lambda *_: None),
    # As if no loss had been seen: the guess alone decides.
    "forecast of tests": (Schedule, "observe", lambda *_: None),
    "blocks": (Learner, "divide", lambda *_: None),
    "restraint": (controller, "RESTRAINT", 0.0),
}


@dataclass(frozen=True, kw_only=True)
class Settings(PolicySettings):
    """Run a policy with and without each part of the driver."""

    seeds: int = 1
    """Initial weights and orders of batches."""


def jobs(settings: Settings) -> list[tuple]:
    """Pairs and seeds, with the policy."""
    learned = load_policy(settings.policy)
    pairs = [*suite("development").items(), ("resnet_batchnorm", RESNET)]
    return [(*pair, seed, learned) for pair in pairs for seed in range(settings.seeds)]


def measure(job: tuple) -> list[dict]:
    """One run without each part: seconds of the processor, and steps."""
    name, variant, seed, policy = job
    task, rows = replace(variant, seed=variant.seed + seed), []
    for part in list(PARTS)[:: 1 if seed % 2 else -1]:
        instead = PARTS[part]
        with mock.patch.object(*instead) if instead else nullcontext():
            found = whole_run(task, seed, policy)
        rows.append({"pair": name, "seed": seed, "without": part, **found})
    return rows


def table(result: dict) -> str:
    """One row a part: time and steps without it, over those with all."""
    parts = grouped(result["rows"], "without")
    whole = {(row["pair"], row["seed"]): row for row in parts["all"]}
    rows = [_row(part, runs, whole) for part, runs in parts.items() if part != "all"]
    content = table_of(("without", "time", "steps", "missed"), rows)
    return f"{content}\n\n{len(whole)} runs each. {sentence(result)}"


def _row(part, found, whole):
    pairs = [row["pair"] for row in found]
    ratios = (
        mean_cell([np.log(row[of] / whole[row["pair"], row["seed"]][of]) for row in found], pairs)
        for of in ("seconds", "steps")
    )
    return [part, *ratios, str(sum(not row["reached"] for row in found))]
