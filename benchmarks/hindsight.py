"""Policies against each other on fresh variants of the training families, paired.

All policies train the same episodes on the same batches, without the driver, on architectures that
no training had: the shipped policy; the same with its LSTM switched off (the head's weights are
zero); a linear path alone that was taught as long by the same lessons; and constant rates. A bound
stands beside them: all rates of the shipped policy times the factor that was best for the group,
chosen on one half of the episodes and scored on the other. Half of the groups have runs of a fixed
length instead of a target: there it counts what is left of the loss.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.ablation import without
from benchmarks.origin import sentence
from benchmarks.results import by_family
from benchmarks.settings import PolicySettings
from benchmarks.statistics import mean_cell
from checkpoints_to_source.train_file import HAND_SET
from metalearn.episodes import Pool
from metalearn.hindsight.budget import of_fixed_length, what_is_left
from metalearn.hindsight.course import Course, build
from metalearn.validate import play
from policy.checkpoint import Policy, load_policy
from policy.rule.weights import flatten, initial_weights
from writing.markdown import table as table_of

NAME, PAGE = "hindsight", "docs/metalearn.md"
SEED = 781  # of the course whose groups these are; no training has it
EPISODES = 8  # of each group
LEAST = 0.003  # time that any run takes
LINEAR = Path("checkpoints/linear_alone.safetensors")
TAUGHT, OFF = "shipped", "its LSTM off"
CONSTANT, ALONE = "constant rates", "linear path alone"
OTHERS = CONSTANT, OFF, ALONE
BEST = "best height in hindsight"
HEADER = ("family", "runs", "groups", "shipped, speed-up over Adam", *OTHERS, BEST)
HEIGHTS = {f"rates times {factor:g}": factor for factor in (0.5, 0.7, 1.4, 2.0)}


@dataclass(frozen=True, kw_only=True)
class Settings(PolicySettings):
    """Run policies on the same fresh episodes."""

    groups: int = 40
    """Architectures."""


def jobs(settings: Settings) -> list[tuple]:
    """Groups, with the policies."""
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
    """Times over the baseline's of all policies on the episodes of a group, or what they leave of
    the loss; nothing for a group that a course would leave out."""
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
    """Return what runs of fixed length leave of the loss."""
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
    """Steps over the shipped policy's, then what is left of the loss, likewise, by family; and
    where the numbers come from."""
    rows = []
    for is_fixed in (False, True):
        some = [row for row in result["rows"] if row["fixed"] == is_fixed]
        for family, own in by_family(some).items():
            logs = [[_logs(row, name).mean() for row in own] for name in OTHERS]
            logs.append([_in_hindsight(row) for row in own])
            times = [time for row in own for time in row[TAUGHT]]
            speed = "" if is_fixed else f"{1 / np.mean(times):.2f}"
            kind = "fixed length" if is_fixed else "target"
            rows.append([family, kind, str(len(own)), speed, *map(mean_cell, logs)])
    return f"{table_of(HEADER, rows)}\n\n{sentence(result)}"


def _logs(row, name):
    """Log ratio to the shipped policy's time in each episode."""
    return np.log(np.add(row[name], LEAST) / np.add(row[TAUGHT], LEAST))


def _in_hindsight(row):
    """Mean log ratio at the height that was best in the other half of the episodes."""
    logs = np.array([_logs(row, name) for name in (TAUGHT, *HEIGHTS)])
    halves = [logs[:, 0::2], logs[:, 1::2]]
    return np.mean([b[a.mean(1).argmin()].mean() for a, b in (halves, halves[::-1])])
