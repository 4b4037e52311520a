"""Races against the baseline: a fresh variant of working size, a target, and the time to it."""

import math
from typing import NamedTuple

import torch

from tasks import Variant, build_task, steps_to_test
from tasks.edges import sample_edge
from tasks.reference import tested_steps
from tasks.scarce import sample_scarce
from tasks.working_size import sample_working_size

LEAST_STEPS = 60  # of the baseline: in fewer, there is little to win
LONGER = 3  # times the steps of other races: a long race
DRAWN_APART = {"scarce": sample_scarce, "edge": sample_edge}
KINDS = ("usual", "long", *DRAWN_APART)


class Race(NamedTuple):
    """A variant, and the test loss that the baseline reaches in so many steps."""

    variant: Variant
    target: float
    steps: int


def draw_race(seed: int, kind: str = "usual") -> Race | None:
    """Return `race_of` a random variant: of working size, the same for LONGER times as many steps,
    with little data, or at the edges of its family (KINDS)."""
    if kind in DRAWN_APART:
        return race_of(*DRAWN_APART[kind](seed))
    variant, horizon = sample_working_size(seed)
    return race_of(variant, LONGER * horizon if kind == "long" else horizon)


def race_of(variant: Variant, horizon: int) -> Race | None:
    """Return a race on a variant: the lowest test loss of the baseline in `horizon` steps, and the
    step where it was found first. None where the baseline gets nowhere."""
    torch.manual_seed(variant.seed)  # of the order of batches
    task = build_task(variant)
    first = lowest = float(task.test(task.state))
    found = 0
    for step, loss in tested_steps(task, steps_to_test(horizon)):
        if loss < lowest:
            lowest, found = loss, step
    is_race = found >= LEAST_STEPS and math.isfinite(first)
    return Race(variant, lowest, found) if is_race else None
