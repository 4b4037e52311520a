"""What each part of the driver, and the restraint of rates, contributes: whole runs without it.

Tasks are the pairs of `development` and a narrow ResNet with batch norm. The ResNet is tested with
the running statistics of training, like the challenge's image task. Runs with all parts alternate
with runs without one of them; a second run with all parts shows how much repeats differ. The
driver's clock is processor time, so other work on the machine doesn't affect its decisions.
"""

from contextlib import nullcontext
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np

from benchmarks.origin import sentence
from benchmarks.settings import PolicySettings
from benchmarks.steps import whole_run
from policy.driver.batch_size import BatchSize
from policy.driver.judge import Judge
from policy.driver.learner import Learner
from policy.driver.schedule import Schedule
from policy.driver.tester import Tester
from policy.loading import load_policy
from policy.rule import signal
from tasks import Variant
from tasks.suites import suite
from writing.markdown import table as table_of
from writing.statistics import grouped, mean_cell

NAME, PAGE = "driver_parts", "docs/driver.md"
RESNET = Variant(
    "resnet",
    "fashion",
    {"width": 4, "stages": 4, "depth": 2, "norm": "batch"},
    {"pixels": 28, "train": 5_000, "test": 1_000},
    batch_size=32,
    target=0.68,  # Adam(1e-3) takes 136 to 228 steps
)


# How to remove a part: class or module, attribute, replacement.
PARTS: dict[str, tuple] = {
    "all": (),
    "all again": (),
    "batch size": (BatchSize, "is_due", lambda *_: False),
    "own statistics": (Tester, "_renew_statistics", lambda *_: True),
    "judge": (Judge, "verdict", lambda *_: None),
    # As if no loss had been observed: the prior guess alone decides.
    "forecast of tests": (Schedule, "observe", lambda *_: None),
    "blocks": (Learner, "divide", lambda *_: None),
    "restraint": (signal, "RESTRAINTS", ((0.0, 1, 1.0),)),
}


@dataclass(frozen=True, kw_only=True)
class Settings(PolicySettings):
    """Run a policy with and without each part of the driver."""

    seeds: int = 1
    """Initial weights and orders of batches."""


def jobs(settings: Settings) -> list[tuple]:
    """Return pairs and seeds, with the policy."""
    learned = load_policy(settings.policy)
    pairs = [*suite("development").items(), ("resnet_batchnorm", RESNET)]
    return [(*pair, seed, learned) for pair in pairs for seed in range(settings.seeds)]


def measure(job: tuple) -> list[dict]:
    """Return one row per part removed: processor seconds and steps of a whole run."""
    name, variant, seed, policy = job
    task, rows = replace(variant, seed=variant.seed + seed), []
    for part in list(PARTS)[:: 1 if seed % 2 else -1]:
        instead = PARTS[part]
        with mock.patch.object(*instead) if instead else nullcontext():
            found = whole_run(task, seed, policy)
        rows.append({"pair": name, "seed": seed, "without": part, **found})
    return rows


def table(result: dict) -> str:
    """Return one row per part: time and steps without it, relative to all parts."""
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
