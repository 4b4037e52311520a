"""Policies against each other on fresh variants of the training families, paired.

All policies train the same episodes on the same batches, without the driver, on architectures that
no training had: the policy before the one that was taught in hindsight; that one; the same with its
LSTM switched off (the head's weights are zero); and a linear path alone that was taught as long by
the same lessons.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.ablation import without
from benchmarks.origin import sentence
from benchmarks.settings import BEFORE, CHECKPOINTS, PolicySettings
from benchmarks.statistics import geometric_mean, with_interval
from metalearn.hindsight.course import Course, build
from metalearn.validate import play
from policy.checkpoint import load_policy
from policy.rule.weights import flatten
from writing.markdown import table as table_of

NAME, PAGE = "hindsight", "docs/metalearn.md"
SEED = 781  # of the course whose groups these are; no training has it
EPISODES = 8  # of each group
LEAST = 0.003  # time that any run takes
LINEAR = CHECKPOINTS / "linear_alone.safetensors"
TAUGHT, OFF = "taught", "taught, LSTM off"


@dataclass(frozen=True, kw_only=True)
class Settings(PolicySettings):
    """Run policies on the same fresh episodes."""

    groups: int = 64
    """Architectures."""


def jobs(settings: Settings) -> list[tuple]:
    """Groups, with the policies."""
    taught = load_policy(settings.policy)
    policies = {
        "before": load_policy(BEFORE),
        TAUGHT: taught,
        OFF: taught._replace(weights=without(taught.weights, "head.weight")),
        "linear path alone": load_policy(LINEAR),
    }
    return [(number, policies) for number in range(settings.groups)]


def measure(job: tuple) -> list[dict]:
    """Times over the baseline's of all policies on the episodes of a group; nothing for a group
    that a course would leave out."""
    number, policies = job
    family, pool = build(Course(Path(), seed=SEED), number)
    if pool is None:
        return []
    row = {"family": family, "group": number}
    for name, policy in policies.items():
        theta = flatten(policy.spec, policy.weights)
        row[name] = play(pool, policy.spec, theta, EPISODES, SEED).spent.tolist()
    return [row]


COMPARED = ((TAUGHT, "before"), (OFF, TAUGHT), ("linear path alone", TAUGHT))


def table(result: dict) -> str:
    """Ratios of steps, family by family, and where the numbers come from."""
    rows = []
    for family in [*sorted({row["family"] for row in result["rows"]}), "all"]:
        own = [row for row in result["rows"] if family in (row["family"], "all")]
        cells = [with_interval(*geometric_mean(_ratios(own, *pair))) for pair in COMPARED]
        rows.append([family, str(len(own)), f"{_score(own, TAUGHT):.2f}", *cells])
    over = (f"{name}, over {other}" for name, other in COMPARED)
    header = ["family", "groups", "speed-up over Adam", *over]
    return f"{table_of(header, rows)}\n\n{sentence(result)}"


def _ratios(rows, name, other):
    """Mean log ratio of the times in each group."""
    return np.array(
        [np.mean(np.log(np.add(row[name], LEAST) / np.add(row[other], LEAST))) for row in rows]
    )


def _score(rows, name):
    return 1 / np.mean([time for row in rows for time in row[name]])
