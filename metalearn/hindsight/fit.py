"""Teach a controller, by backpropagation, the rates at which the surfaces of lessons are lowest.

The controller is replayed on the arms' features. Its log rates, minus those of the policy that
collected, are projected onto the paths, and the surface gives the cost of that path. Deviations
from the paths are penalised separately, since no arm measured their effect.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from metalearn.hindsight.lessons import Group, Lessons
from metalearn.hindsight.paths import PATHS, SPREAD, basis, depths
from metalearn.hindsight.surface import Surface, fit_surfaces
from metalearn.replay import replayed
from policy.rule.spec import Spec
from policy.rule.weights import unflatten

FARTHEST = 1.8  # surfaces are trusted within this many standard deviations of the arms
MATRIX, VECTOR = 0.3, 0.03  # penalties of squared deviations of log rates from the paths
LONGEST = 200  # largest number of decisions to replay per lesson
BATCH, ARMS = 8, 4  # groups per step, and arms of each
WARM_UP = 10  # steps
AVERAGED = 0.1  # weight of the newest weights in the running average
EVERY = 20  # steps between two evaluations on the groups `judged`


class Lesson(NamedTuple):
    """A group's lessons, and the surfaces of its episodes."""

    lessons: Lessons
    surface: Surface


class Grade(NamedTuple):
    """Costs of a controller, means over arms."""

    cost: Tensor  # log cost by the surfaces, relative to the policy that collected
    astray: Tensor  # penalty of deviations from the paths
    beyond: Tensor  # penalty of paths beyond the arms'

    def total(self) -> Tensor:
        """Return the sum, which the fit minimises."""
        return self.cost + self.astray + self.beyond


def study(groups: Sequence[Group]) -> list[Lesson]:
    """Return the lessons of each group with their surfaces, in the given order."""
    found: dict[int, Lesson] = {}
    for family in sorted({group.family for group in groups}):
        own = [i for i, group in enumerate(groups) if group.family == family]
        surfaces = fit_surfaces([groups[i].lessons for i in own])
        for i, surface in zip(own, surfaces, strict=True):
            lessons = groups[i].lessons
            cut = {name: getattr(lessons, name)[:LONGEST] for name in ("features", "output")}
            found[i] = Lesson(lessons._replace(**cut), surface)
    return [found[i] for i in range(len(groups))]


def replay(spec: Spec, weights: Mapping[str, Tensor], lessons: Lessons) -> Tensor:
    """Return the outputs `[T, E, A, n]` of a controller on the arms' features."""
    seen = lessons.features.float()
    lead = seen.shape[1:-1]
    hidden = seen.new_zeros(lead + (spec.hidden,))
    start = hidden, hidden, seen.new_zeros(lead)
    turns = ((features, torch.full(lead[:-1], turn == 0)) for turn, features in enumerate(seen))
    return replayed(spec, weights, start, turns)


def grade(spec: Spec, weights: Mapping[str, Tensor], lesson: Lesson) -> Grade:
    """Return the grade of a controller on a lesson."""
    lessons = lesson.lessons
    change = replay(spec, weights, lessons) - lessons.output.float()
    count, tensors = len(change), len(lessons.is_matrix)
    step = torch.arange(count, dtype=torch.float32)[:, None] * spec.stride
    steps = step.expand(count, len(lessons.baseline))
    tilt = basis(steps, lessons.baseline, depths(tensors))  # [T, E, n, PATHS]
    # Later decisions weigh less, since the loss then falls less per step.
    is_there = torch.arange(count)[:, None, None] < lessons.length
    when = is_there / (step[..., None] + 10).sqrt()
    when = when / when.sum(0)  # [T, E, A]
    matrices = lessons.is_matrix.float() / lessons.is_matrix.sum().clamp(min=1)
    path = _project(change, tilt, when[..., None] * matrices)
    off = change - torch.einsum("tenk,eak->tean", tilt, path)
    astray = torch.einsum("tea,tean,n->ea", when, off.square(), _prices(lessons.is_matrix))
    far = (path / path.new_tensor(SPREAD)).norm(dim=-1) - FARTHEST
    each = lesson.surface.cost(path), astray, far.clamp(min=0).square()
    return Grade(*(value.mean(1) @ lesson.surface.weight / len(value) for value in each))


def _prices(is_matrix):
    """Return the penalty per tensor, `[n]`, so that sums are means over matrices and vectors."""
    count = torch.where(is_matrix, is_matrix.sum(), (~is_matrix).sum())
    return torch.where(is_matrix, MATRIX, VECTOR) / count


def _project(change, tilt, weight):
    """Return the path nearest to the changes `[T, E, A, n]` of log rates, `[E, A, PATHS]`."""
    gram = torch.einsum("tean,tenk,tenl->eakl", weight, tilt, tilt) + 1e-3 * torch.eye(PATHS)
    moments = torch.einsum("tean,tean,tenk->eak", weight, change, tilt)
    return torch.linalg.solve(gram, moments[..., None])[..., 0]


def fit(
    spec: Spec,
    theta: Tensor,
    lessons: Sequence[Lesson],
    judged: Sequence[Lesson],
    steps: int,
    rate: float,
    seed: int,
    report: Callable[[int, Grade], None],
    mask: Tensor | None = None,
) -> Tensor:
    """Return the controller's weights `[n]` after training with Adam on the lessons.

    Each step uses a batch of groups. The result is the running average of the weights, at the step
    where it is best on the groups `judged`.

    Args:
        theta: initial weights, `[n]`.
        report: called with the step and the `Grade` on the groups `judged`.
        mask: `[n]`, zero for weights that are fixed; None if all learn.
    """
    theta = torch.nn.Parameter(theta.clone())
    average, best = theta.detach().clone(), (math.inf, theta.detach().clone())
    adam = torch.optim.Adam([theta], lr=rate, betas=(0.9, 0.98))
    draw = random.Random(seed)
    for step in range(1, steps + 1):
        adam.param_groups[0]["lr"] = rate * min(step / WARM_UP, 1.0, 2.02 - 2 * step / steps)
        adam.zero_grad()
        for lesson in draw.sample(lessons, min(BATCH, len(lessons))):
            some = _some_arms(lesson, draw)
            (grade(spec, unflatten(spec, theta), some).total() / BATCH).backward()
        if mask is not None:
            theta.grad *= mask
        torch.nn.utils.clip_grad_norm_([theta], 1.0)
        adam.step()
        average.lerp_(theta.detach(), max(AVERAGED, 1 / step))
        if step % EVERY == 0 or step == steps:
            mean = mean_grade(spec, average, judged)
            report(step, mean)
            best = min(best, (mean.total().item(), average.clone()), key=lambda pair: pair[0])
    return best[1]


def _some_arms(lesson, draw):
    """Return the lesson with a random subset of its arms. The surfaces stay the same."""
    lessons = lesson.lessons
    count = lessons.length.shape[1]
    own = torch.tensor(draw.sample(range(count), min(ARMS, count)))
    length = lessons.length[:, own]
    last = int(length.max())
    features, output = lessons.features[:last, :, own], lessons.output[:last, :, own]
    some = lessons._replace(length=length, features=features, output=output)
    return lesson._replace(lessons=some)


@torch.no_grad()
def mean_grade(spec: Spec, theta: Tensor, lessons: Sequence[Lesson]) -> Grade:
    """Return the grade of a controller, mean over groups."""
    grades = [grade(spec, unflatten(spec, theta), lesson) for lesson in lessons]
    return Grade(*(torch.stack(values).mean() for values in zip(*grades, strict=True)))
