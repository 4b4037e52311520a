"""Performance profiles: on how large a share of the pairs is a method within a factor of the best?

Dolan and More, "Benchmarking optimization software with performance profiles", 2002, as AlgoPerf
(Dahl et al. 2023, section 4.6) uses them: tau is the ratio of a method's cost on a pair to that of
the best method there, rho(tau) the share of pairs whose ratio is at most tau. A miss has no ratio.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

#: The largest ratio that counts, as AlgoPerf's for its integral.
LARGEST_RATIO = 4.0


def ratios(costs: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Each method's cost on each pair over the least there; infinite where it missed.

    `costs[method][pair]` is infinite for a miss. A pair that all miss is infinite for all.
    """
    least = [min(column) for column in zip(*costs.values(), strict=True)]
    return {
        name: [c / m if math.isfinite(c) else math.inf for c, m in zip(row, least, strict=True)]
        for name, row in costs.items()
    }


def share_within(ratio: Sequence[float], tau: float) -> float:
    """rho(tau)."""
    return sum(one <= tau for one in ratio) / len(ratio)


def area(ratio: Sequence[float]) -> float:
    """AlgoPerf's score: the mean of rho over tau from 1 to `LARGEST_RATIO`, in 0 to 1."""
    return float(np.mean([max(0.0, LARGEST_RATIO - one) for one in ratio]) / (LARGEST_RATIO - 1))
