"""The table of checkpoints/README.md on policies against each other.

    python -m benchmarks.policy_races_table docs/results/policy_races.json checkpoints/README.md

writes the table between its two markers.
"""

import numpy as np

from benchmarks import page as pages
from benchmarks.ablation_table import with_interval
from benchmarks.race_costs import geometric_mean


def markdown(result):
    """One row a policy, and where the numbers come from."""
    rows = result["rows"]
    costs = np.array([row["costs"] for row in rows])
    gains = np.log(costs[:, :1] / costs)
    kinds = _kinds(rows)
    header = ["policy", "harmonic mean", "over the first", *(f"{n} {k}" for k, n, _ in kinds)]
    table = []
    for i, name in enumerate(result["policies"]):
        gain = gains[:, i]
        over = with_interval(*geometric_mean(gain))
        of_kinds = (f"{np.exp(gain[chosen].mean()):.2f}" for *_, chosen in kinds)
        table.append([name, f"{1 / costs[:, i].mean():.2f}", over, *of_kinds])
    return f"{pages.markdown(header, table)}\n\n{pages.origin(result)}"


def _kinds(rows):
    """Name, number and mask of the races with little data and of each family's, the larger
    first."""
    families = np.array([row["family"] for row in rows])
    masks = {name: families == name for name in set(families.tolist())}
    ordered = sorted(masks.items(), key=lambda item: (-item[1].sum(), item[0]))
    scarce = np.array([row["scarce"] for row in rows])
    return [(name, int(m.sum()), m) for name, m in [("with little data", scarce), *ordered]]


if __name__ == "__main__":
    pages.table_command("policies", markdown)
