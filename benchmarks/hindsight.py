"""Paired comparison of policies on fresh variants of the training families.

All policies train the same episodes on the same batches, without the driver, on architectures that
no training used. The policies are the shipped one; the same with its LSTM switched off, by zero
head weights; a linear path alone, taught for as long by the same lessons; and constant rates. A
bound is shown beside them: all rates of the shipped policy times the best factor for the group,
chosen on one half of the episodes and scored on the other. Half of the groups have runs of fixed
length instead of a target; there the score is the remaining loss.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.ablation import without
from benchmarks.origin import sentence
from benchmarks.results import by_family
from benchmarks.settings import PolicySettings
from checkpoints_to_source.report.measured import LEAST_TIME, at_the_best_height
from checkpoints_to_source.train_file import HAND_SET
from metalearn.episodes import Pool
from metalearn.hindsight.budget import of_fixed_length, what_is_left
from metalearn.hindsight.course import Course, build
from metalearn.validate import play
from policy.checkpoint import Policy, load_policy
from policy.rule.weights import flatten, initial_weights
from writing.markdown import table as table_of
from writing.statistics import mean_cell

NAME, PAGE = "hindsight", "docs/metalearn.md"
SEED = 781  # of the course that the groups come from; no training uses it
EPISODES = 8  # per group
LINEAR = Path("checkpoints/linear_alone.safetensors")
TAUGHT, OFF = "shipped", "its LSTM off"
CONSTANT, ALONE = "constant rates", "linear path alone"
OTHERS = CONSTANT, OFF, ALONE
BEST = "best height in hindsight"
HEADER = ("family", "runs", "groups", "shipped, speed-up over Adam", *OTHERS, BEST)
HEIGHTS = {f"rates times {factor:g}": factor for factor in (0.5, 0.7, 1.4, 2.0)}


@dataclass(frozen=True, kw_only=True)
class Settings(PolicySettings):
    """Compare policies on the same fresh episodes."""

    groups: int = 40
    """Architectures."""


def jobs(settings: Settings) -> list[tuple]:
    """Return groups, with the policies."""
    taught = load_policy(settings.policy)
    policies = {
        TAUGHT: taught,
        CONSTANT: Policy(HAND_SET, initial_weights(HAND_SET, 0)),
        OFF: taught._replace(weights=without(taught.weights, "head.weight")),
        ALONE: load_policy(LINEAR),
    }
    for name, factor in HEIGHTS.items():
        spec = taught.spec._replace(base_rate=factor * taught.spec.base_rate)
        policies[name] = taught._replace(spec=spec)
    return [(number, policies) for number in range(settings.groups)]


def measure(job: tuple) -> list[dict]:
    """Return each policy's times over the baseline's in a group, or its remaining losses.

    Return nothing for a group that a course would leave out.
    """
    number, policies = job
    course = Course(Path(), seed=SEED)
    family, pool = build(course, number)
    if pool is None:
        return []
    found = (fixed if course.is_fixed(number) else timed)(pool, policies)
    return [{"family": family, "group": number, "fixed": course.is_fixed(number), **found}]


def timed(pool: Pool, policies: dict[str, Policy]) -> dict[str, list[float]]:
    """Return the times to the target over the baseline's."""
    return {
        name: play(pool, policy.spec, flatten(*policy), EPISODES, SEED).spent.tolist()
        for name, policy in policies.items()
    }


def fixed(pool: Pool, policies: dict[str, Policy]) -> dict[str, list[float]]:
    """Return the remaining losses of runs of fixed length."""
    curves = []
    for spec, weights in policies.values():
        curve: list[torch.Tensor] = []
        watch = lambda particles, curve=curve: curve.append(particles.tested.clone())  # noqa: E731
        theta = flatten(spec, weights)
        ended = play(pool, spec, theta, EPISODES, SEED, watch, of_fixed_length)
        curves.append(torch.stack(curve))
    decisions = (ended.episode.baseline / spec.stride).ceil()
    left = what_is_left(torch.stack(curves, -1), pool.curve[ended.episode.which, 0], decisions)
    return dict(zip(policies, left.T.tolist(), strict=True))


def table(result: dict) -> str:
    """Return steps, then remaining losses, over the shipped policy's, by family, and the origin."""
    rows = []
    for is_fixed in (False, True):
        some = [row for row in result["rows"] if row["fixed"] == is_fixed]
        for family, own in by_family(some).items():
            logs = [[_logs(row, name).mean() for row in own] for name in OTHERS]
            logs.append([at_the_best_height(row) for row in own])
            times = [time for row in own for time in row[TAUGHT]]
            speed = "" if is_fixed else f"{1 / np.mean(times):.2f}"
            kind = "fixed length" if is_fixed else "target"
            rows.append([family, kind, str(len(own)), speed, *map(mean_cell, logs)])
    return f"{table_of(HEADER, rows)}\n\n{sentence(result)}"


def _logs(row, name):
    """Return the log ratio to the shipped policy's time, per episode."""
    return np.log(np.add(row[name], LEAST_TIME) / np.add(row[TAUGHT], LEAST_TIME))
