"""Settings of learning in hindsight, and its rounds: collect, fit, collect with what was learned.

Lessons of a group, and the policy of a round, are files in the run's folder, whole or absent. So
any number of processes share the work, and the same command goes on where one was interrupted.
"""

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from metalearn.config import ConfigError, check_drawn
from metalearn.episodes import Pool
from metalearn.hindsight.collect import collect
from metalearn.hindsight.fit import Grade, fit, study
from metalearn.hindsight.lessons import Group, load_group, save_group
from policy.checkpoint import Policy
from policy.rule.weights import flatten, linear_path, unflatten
from tasks import TRAINING_FAMILIES, BatchedTask, sample_group
from tasks.edges import SIZES as AT_THE_EDGE
from tasks.edges import sample_edge_group
from tasks.working_size import sample_working_group

LARGE, LARGEST = 30_000, 300_000  # weights of a network: of large ones, fewer and shorter episodes
VARIANTS = 6  # of an architecture, and as many episodes; of one of many weights fewer:
WEIGHTS = 200_000  # of its variants together, but of two at least
LONGEST_LARGE = 400
JUDGED = 5  # one group of so many teaches nothing, and chooses among the weights of a fit
MOST = 100_000  # groups of a seed


@dataclasses.dataclass(frozen=True)
class Course:
    """Settings of a run."""

    out: Path
    """Folder of the run: lessons, policies, log. An unfinished run in it is resumed."""

    begin: str = ""
    """File of a policy to begin with; else the one that meta-training begins with."""

    families: tuple[str, ...] = (
        *TRAINING_FAMILIES,
        *("regressor", "transformer_lm", "residual_mlp", "transformer_lm"),
    )
    """Task families in turn; one that is named twice is met twice as often."""

    rounds: int = 2
    """Each collects with the policy that the one before taught."""

    groups: int = 60
    """Architectures per round: a third each small, of working size, and at the edges of their
    families; half with runs of fixed length."""

    arms: int = 12
    """Runs of each episode, each with rates of its own."""

    shortest: int = 100
    """Shortest episode: steps that the baseline needs to the target."""

    longest: int = 1000
    """Longest episode, likewise; lengths are drawn log-uniformly. For large networks, at most 400.
    """

    steps: int = 600
    """Of the fit of each round."""

    rate: float = 1e-2
    """Peak learning rate of the fit."""

    linear: bool = False
    """Teach the linear path alone; the rest stays, which in a new policy says nothing."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where the arms run."""

    seed: int = 0
    """Of everything random. 0 to 999,999."""

    def check(self) -> None:
        """Raise ConfigError for a setting that makes no sense."""
        check_drawn(self.families, self.shortest, self.longest, self.seed)
        for name, least in (("rounds", 1), ("groups", JUDGED), ("arms", 4), ("steps", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}: give at least {least}")
        if not 0 < self.rate < math.inf:
            raise ConfigError(f"rate is {self.rate}: give a positive number")
        if self.rounds * self.groups > MOST:
            raise ConfigError(f"{self.rounds} rounds of {self.groups} groups: give at most {MOST}")

    def to_json(self) -> str:
        """Return what determines the result, as JSON text; a run may be moved."""
        settings = dataclasses.asdict(self)
        for name in ("out", "begin", "device"):
            del settings[name]
        return json.dumps(settings, sort_keys=True)

    def numbers(self, turn: int) -> range:
        """Return the groups of a round, which counts from 0."""
        return range(turn * self.groups, (turn + 1) * self.groups)

    def is_fixed(self, number: int) -> bool:
        """Return whether the runs of a group have a fixed length rather than a target."""
        return number // len(self.families) % 4 in (1, 2)  # augmented ones and others

    def lessons(self, number: int) -> Path:
        """Return the file of a group's lessons."""
        return self.out / "lessons" / f"{number:05d}.safetensors"

    def learned(self, turn: int) -> Path:
        """Return the file of the policy that a round taught."""
        return self.out / f"round-{turn + 1}.safetensors"


def build(course: Course, number: int) -> tuple[str, Pool | None]:
    """Return the family and the pool of a group; no pool where its networks are too large, or an
    initial loss is not finite."""
    family = course.families[number % len(course.families)]
    turn = number // len(course.families)
    own = course.seed * MOST + number
    kind = (number + turn) % 3
    if kind == 0 and family in AT_THE_EDGE:
        variants = sample_edge_group(family, own, VARIANTS)
    elif kind == 1:
        variants = sample_working_group(family, own, VARIANTS)
    else:
        variants = sample_group(family, own, VARIANTS, augment=turn % 2 == 0)
    # Noise that is drawn for each particle by itself would take most of the time.
    variants = [dataclasses.replace(v, gradient_noise=0.0, test_noise=0.0) for v in variants]
    size = sum(math.prod(shape) for shape in BatchedTask(variants[:1]).shapes)
    if size > LARGEST:
        return family, None
    variants = variants[: max(WEIGHTS // size, 2)]
    longest = course.longest if size <= LARGE else min(course.longest, LONGEST_LARGE)
    try:
        return family, Pool(variants, course.shortest, longest, own, course.device)
    except ValueError:
        return family, None


def gather(course: Course, number: int, policy: Policy) -> Group | None:
    """Run the arms of a group with a policy and write their lessons; None where it has no pool."""
    family, pool = build(course, number)
    if pool is None:
        return None
    generator = torch.Generator(course.device).manual_seed(course.seed * MOST + number)
    is_fixed = course.is_fixed(number)
    lessons = collect(pool, policy, course.arms, generator, is_fixed)
    group = Group(f"{family}, fixed length" if is_fixed else family, number, lessons)
    save_group(course.lessons(number), group)
    return group


def blend(first: Policy, last: Policy) -> Policy:
    """Return the mean of a policy before and after its lessons, of the same spec: what was learned
    on small networks then moves rates on others half as far (Wortsman et al. 2022,
    arXiv:2109.01903)."""
    weights = {name: (first.weights[name] + last.weights[name]) / 2 for name in first.weights}
    return Policy(last.spec, weights)


def teach(
    course: Course, turn: int, policy: Policy, report: Callable[[int, Grade], None]
) -> Policy:
    """Return the policy that the lessons of this round and of those before it teach.

    The fit begins with the weights of `policy`. Of the groups of this round one in JUDGED judges.
    """
    fresh = course.numbers(turn)
    numbers = [number for number in range(fresh.stop) if course.lessons(number).exists()]
    if not numbers:
        raise ConfigError(
            f"groups is {course.groups}: none could be run, as networks are too large or losses "
            "not finite; give more, and another --out"
        )
    told, judged = [], []
    lessons = study([load_group(course.lessons(number)) for number in numbers])
    for number, lesson in zip(numbers, lessons, strict=True):
        if number % JUDGED != JUDGED - 1:
            told.append(lesson)
        elif number in fresh:
            judged.append(lesson)
    # Of a few groups all that judge, or all others, may have been too large.
    told = told or lessons
    judged = judged or told
    spec, settings = policy.spec, (course.steps, course.rate, course.seed)
    mask = linear_path(spec) if course.linear else None
    theta = fit(spec, flatten(*policy), told, judged, *settings, report, mask)
    return Policy(spec, unflatten(spec, theta))
