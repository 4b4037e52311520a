"""Compares loss curves of curve.py with the first of them: ``python compare.py CURVE CURVE...``.

Exit status 1 where a curve is shorter or the losses differ by more than 1e-5.
"""

import json
import sys
from pathlib import Path

TOLERANCE = 1e-5


def difference(reference, curve):
    """Largest absolute difference over the steps, infinite for curves of unequal length."""
    if len(reference) != len(curve):
        return float("inf")
    return max(abs(a - b) for a, b in zip(reference, curve, strict=True))


def main(paths):
    reference, *others = (json.loads(Path(path).read_text()) for path in paths)
    losses = reference["losses"]
    print(f"torch {reference['torch']}: loss {losses[0]:.3f} to {min(losses):.3f}")
    worst = 0.0
    for other in others:
        gap = difference(losses, other["losses"])
        worst = max(worst, gap)
        print(f"torch {other['torch']}: largest difference {gap:.1e} in {len(losses)} steps")
    return int(not worst <= TOLERANCE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
