"""The table of checkpoints/README.md on policies against each other.

    python -m benchmarks.policy_races_table docs/results/policy_races.json checkpoints/README.md

writes the table between its two markers. The usual and the long race of a seed are of one network,
and are drawn together for the intervals.
"""

import numpy as np

from benchmarks import page as pages
from benchmarks.ablation_table import with_interval
from benchmarks.race_costs import geometric_mean
from writing.markdown import table as table_of


def markdown(result):
    """One row a policy, and where the numbers come from."""
    rows = result["rows"]
    costs = np.array([row["costs"] for row in rows])
    gains = np.log(costs[:, :1] / costs)
    networks = [f"{row['seed']} {row['kind'] == 'scarce'}" for row in rows]
    kinds = _kinds(rows)
    header = ["policy", "harmonic mean", "over the first", *(f"{n} {k}" for k, n, _ in kinds)]
    table = []
    for i, name in enumerate(result["policies"]):
        gain = gains[:, i]
        over = with_interval(*geometric_mean(gain, networks))
        of_kinds = (f"{np.exp(gain[chosen].mean()):.2f}" for *_, chosen in kinds)
        table.append([name, f"{1 / costs[:, i].mean():.2f}", over, *of_kinds])
    return f"{table_of(header, table)}\n\n{pages.origin(result)}"


def _kinds(rows):
    """Name, number and mask of the races of each kind and of each family, the larger first."""
    kinds = _masks(rows, "kind").items()
    families = sorted(_masks(rows, "family").items(), key=lambda item: (-item[1].sum(), item[0]))
    return [(name, int(mask.sum()), mask) for name, mask in [*kinds, *families]]


def _masks(rows, key):
    values = np.array([row[key] for row in rows])
    return {value: values == value for value in sorted(set(values.tolist()))}


if __name__ == "__main__":
    pages.table_command("policies", markdown)
