"""Tune Adam's learning rate and cosine length for each pair. No user could afford this.

The grid: learning rate in {5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2}, times a cosine to 0 over 0.125,
0.25, 0.5 or 1 of the baseline's steps, or no schedule. Tuning uses the first repeat that is
measured later. The point that reaches the target there in the fewest steps is used for all repeats
of the pair. Each point stops at the lowest number of steps so far, at first the baseline's. So
short cosines and middle rates come first, which shortens the rest. Since only steps count, several
points run at a time, on all cores.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from evaluate.score.results import Result
from evaluate.submission import Submission

LEARNING_RATES = (4e-3, 2e-3, 8e-3, 1e-3, 1.6e-2, 5e-4)
COSINES = (0.125, 0.25, 0.5, 1.0, None)
#: Used if no grid point reaches the target within the baseline's steps.
FALLBACK = {"learning_rate": 1e-3, "cosine": None}


def grid(tuned: Submission) -> list[Submission]:
    """Return the tuned peer at each grid point, as separate peers."""
    return [
        _at(tuned, {"learning_rate": rate, "cosine": cosine})
        for cosine in COSINES
        for rate in LEARNING_RATES
    ]


def best_point(
    tuned: Submission,
    horizon: int,
    run: Callable[[Sequence[Submission], int], Iterable[Result]],
    at_once: int = 1,
) -> dict:
    """Return the best grid point. `run(peers, most_steps)` runs up to `at_once` of them."""
    best, fewest = FALLBACK, horizon
    for peers in _batched(grid(tuned), at_once):
        for peer, result in zip(peers, run(peers, fewest), strict=True):
            if result.reached and (best is FALLBACK or result.steps < fewest):
                best, fewest = peer.given, result.steps
    return best


def _batched(points: Sequence[Submission], size: int) -> Iterator[Sequence[Submission]]:
    """Yield the points in order, `size` at a time."""
    for start in range(0, len(points), size):
        yield points[start : start + size]


def _at(tuned: Submission, point: dict) -> Submission:
    length = "no schedule" if point["cosine"] is None else f"cosine {point['cosine']:g}"
    return replace(
        tuned,
        name=f"{tuned.name} {point['learning_rate']:g} {length}",
        sha256=hashlib.sha256(f"{tuned.sha256} {point}".encode()).hexdigest(),
        given=point,
    )
