"""Performance profiles: the share of pairs on which a method is within a factor of the best.

Dolan and More, "Benchmarking optimization software with performance profiles", 2002, as used by
AlgoPerf (Dahl et al. 2023, section 4.6). A method's ratio on a pair is its cost over the best
method's cost; rho(tau) is the share of pairs with a ratio of at most tau. A miss has no ratio.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

#: Upper end of the integral over tau, as in AlgoPerf.
LARGEST_RATIO = 4.0


def ratios(costs: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Return each method's cost on each pair over the lowest cost there.

    `costs[method][pair]` is infinite for a miss, and so is its ratio.
    """
    least = [min(column) for column in zip(*costs.values(), strict=True)]
    return {
        name: [c / m if math.isfinite(c) else math.inf for c, m in zip(row, least, strict=True)]
        for name, row in costs.items()
    }


def share_within(ratio: Sequence[float], tau: float) -> float:
    """Return rho(tau), the share of ratios of at most tau."""
    return sum(one <= tau for one in ratio) / len(ratio)


def area(ratio: Sequence[float]) -> float:
    """Return AlgoPerf's score, in 0 to 1: the mean of rho for tau from 1 to `LARGEST_RATIO`."""
    return float(np.mean([max(0.0, LARGEST_RATIO - one) for one in ratio]) / (LARGEST_RATIO - 1))
