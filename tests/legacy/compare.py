"""Compare runs of curve.py with the first of them: `python compare.py RUN RUN...`.

Exit status 1 if a loss differs by more than 1e-5 from the first run's, if a curve is shorter, or if
a network missed its target.
"""

import json
import math
import sys
from pathlib import Path

TOLERANCE = 1e-5
STEPS = 500


def difference(reference, curve):
    """Return the largest absolute difference over the steps.

    Return infinity for curves of unequal length or of fewer than STEPS steps, or with NaN losses.
    """
    if not STEPS <= len(reference) == len(curve):
        return math.inf
    gaps = [abs(a - b) for a, b in zip(reference, curve, strict=True)]
    return math.inf if any(map(math.isnan, gaps)) else max(gaps)


def main(paths):
    runs = [json.loads(Path(path).read_text()) for path in paths]
    reference = runs[0]["losses"]
    agree = True
    for run in runs:
        gap = difference(reference, run["losses"])
        steps = ", ".join(f"{name} {count or 'missed'}" for name, count in run["steps"].items())
        print(
            f"torch {run['torch']}: largest difference {gap:.1e} over {len(run['losses'])} steps; "
            f"steps to the target: {steps}"
        )
        agree = agree and gap <= TOLERANCE and None not in run["steps"].values()
    return int(not agree)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
