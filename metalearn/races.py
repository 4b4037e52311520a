"""Races against the baseline: a fresh variant, a target, and the baseline's steps to it."""

import math
from typing import NamedTuple

import torch

from tasks import Variant, build_task, steps_to_test
from tasks.edges import sample_edge
from tasks.reference import tested_steps
from tasks.scarce import sample_scarce
from tasks.working_size import sample_working_size

LEAST_STEPS = 60  # of the baseline; shorter races leave little to gain
LONGER = 3  # steps of a long race, over those of a usual one
DRAWN_APART = {"scarce": sample_scarce, "edge": sample_edge}
KINDS = ("usual", "long", *DRAWN_APART)


class Race(NamedTuple):
    """A variant, and the test loss `target` that the baseline reaches in `steps` steps."""

    variant: Variant
    target: float
    steps: int


def draw_race(seed: int, kind: str = "usual") -> Race | None:
    """Return a race on a random variant, or None as `race_of` does.

    The variant is of working size ("usual", or "long" with LONGER times the steps), has little data
    ("scarce"), or is at the edge of its family ("edge").
    """
    if kind in DRAWN_APART:
        return race_of(*DRAWN_APART[kind](seed))
    variant, horizon = sample_working_size(seed)
    return race_of(variant, LONGER * horizon if kind == "long" else horizon)


def race_of(variant: Variant, horizon: int) -> Race | None:
    """Return a race on a variant; None if the baseline makes no progress.

    The target is the baseline's lowest test loss in `horizon` steps, and `steps` the step that
    first reached it.
    """
    torch.manual_seed(variant.seed)  # dropout uses torch's global generator
    task = build_task(variant)
    first = lowest = float(task.test(task.state))
    found = 0
    for step, loss in tested_steps(task, steps_to_test(horizon)):
        if loss < lowest:
            lowest, found = loss, step
    is_race = found >= LEAST_STEPS and math.isfinite(first)
    return Race(variant, lowest, found) if is_race else None
