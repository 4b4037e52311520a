"""What a run came to: its final loss, when it reached another's, the best of several settings."""

import math
from collections.abc import Sequence

import numpy as np


def final(run: dict) -> float:
    """Return the last loss of a run; infinite where it is not a number."""
    loss = run["curve"]["loss"][-1]
    return math.inf if loss is None else loss


def best(settings: dict[str, Sequence[dict]]) -> str:
    """Return the setting with the lowest mean of the final losses."""
    return min(settings, key=lambda setting: np.mean([final(run) for run in settings[setting]]))


def reached(run: dict, loss: float) -> float | None:
    """Return the step at which a run is first as low, between two tests on a line."""
    before = None
    for found, step in zip(run["curve"]["loss"], run["curve"]["step"], strict=True):
        if found is not None and found <= loss:
            if before is None or before[0] == found:
                return step
            return before[1] + (before[0] - loss) / (before[0] - found) * (step - before[1])
        before = None if found is None else (found, step)
    return None
