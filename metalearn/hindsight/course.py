"""Settings of learning in hindsight, and its rounds: collect, fit, collect with the new policy.

The lessons of each group and the policy of each round are files in the run's folder, complete or
absent. So any number of processes can share the work, and an interrupted run resumes by the same
command.
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

# Weights of a network. Above LARGE episodes are shorter, above LARGEST it is skipped.
LARGE, LARGEST = 30_000, 300_000
VARIANTS = 6  # of an architecture, and as many episodes
WEIGHTS = 200_000  # of an architecture's variants together; two variants at least
LONGEST_LARGE = 400
JUDGED = 5  # one group of JUDGED is not trained on, but selects the weights of a fit
MOST = 100_000  # largest number of groups per seed


@dataclasses.dataclass(frozen=True)
class Course:
    """Settings of a run of learning in hindsight."""

    out: Path
    """Folder of the run, for lessons, policies and log. An unfinished run in it is resumed."""

    begin: str = ""
    """File of a policy to start from. Empty: the one that meta-training starts from."""

    families: tuple[str, ...] = (
        *TRAINING_FAMILIES,
        *("regressor", "transformer_lm", "residual_mlp", "transformer_lm"),
    )
    """Task families, used in turn. A family named twice is used twice as often."""

    rounds: int = 2
    """Number of rounds. Each collects with the policy of the previous one."""

    groups: int = 60
    """Architectures per round. A third each are small, of working size, and at the edges of their
    families. Half have runs of a fixed length."""

    arms: int = 12
    """Runs of each episode, each with its own rates."""

    shortest: int = 100
    """Length of the shortest episode: steps that the baseline takes to the target."""

    longest: int = 1000
    """Length of the longest episode, likewise; at most 400 for large networks. Lengths are drawn
    log-uniformly."""

    steps: int = 600
    """Steps of the fit in each round."""

    rate: float = 1e-2
    """Peak learning rate of the fit."""

    linear: bool = False
    """Teach only the linear path. The rest is left unchanged; in a new policy it has no effect."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Device of the arms."""

    seed: int = 0
    """Seed of everything random, 0 to 999,999."""

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
        """Return the settings that determine the result, as JSON text, without paths and device."""
        settings = dataclasses.asdict(self)
        for name in ("out", "begin", "device"):
            del settings[name]
        return json.dumps(settings, sort_keys=True)

    def numbers(self, turn: int) -> range:
        """Return the numbers of a round's groups. Rounds count from 0."""
        return range(turn * self.groups, (turn + 1) * self.groups)

    def is_fixed(self, number: int) -> bool:
        """Return whether the runs of a group have a fixed length rather than a target."""
        return number // len(self.families) % 4 in (1, 2)  # with augmentation and without

    def lessons(self, number: int) -> Path:
        """Return the file of a group's lessons."""
        return self.out / "lessons" / f"{number:05d}.safetensors"

    def learned(self, turn: int) -> Path:
        """Return the file of the policy that a round taught."""
        return self.out / f"round-{turn + 1}.safetensors"


def build(course: Course, number: int) -> tuple[str, Pool | None]:
    """Return the family and the pool of a group. The pool is None if networks are too large or an
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
    # Drawing noise for each particle separately would take most of the time.
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
    """Run a group's arms with a policy, write and return their lessons; None without a pool."""
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
    """Return the mean of the policies before and after the lessons, of the same spec.

    What was learned on small networks then changes rates on others half as much (Wortsman et al.
    2022, arXiv:2109.01903).
    """
    weights = {name: (first.weights[name] + last.weights[name]) / 2 for name in first.weights}
    return Policy(last.spec, weights)


def teach(
    course: Course, turn: int, policy: Policy, report: Callable[[int, Grade], None]
) -> Policy:
    """Return the policy fitted to the lessons of this round and of all previous ones.

    The fit starts from `policy`. One in JUDGED of this round's groups selects the weights.
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
    # With few groups, all for judging or all others may have been too large.
    told = told or lessons
    judged = judged or told
    spec, settings = policy.spec, (course.steps, course.rate, course.seed)
    mask = linear_path(spec) if course.linear else None
    theta = fit(spec, flatten(*policy), told, judged, *settings, report, mask)
    return Policy(spec, unflatten(spec, theta))
