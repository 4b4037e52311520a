"""A policy against constant rates on networks of working size that neither was made with.

    python -m benchmarks.fresh_races POLICY --out docs/results/fresh_races.json
    python -m benchmarks.races_table docs/results/fresh_races.json docs/behaviour.md

Both train the same random variants of the training families, one network at a time, to what
Adam(1e-3) reached. Some have data enough for the run (`tasks.working_size`), some run for longer,
and some have little (`tasks.scarce`). What is counted is told in :mod:`benchmarks.race_costs`.
"""

from pathlib import Path

import numpy as np
import tyro

from benchmarks.page import stamp
from benchmarks.race_costs import geometric_mean, race_costs
from benchmarks.races_table import markdown
from checkpoints_to_source.train_file import HAND_SET
from metalearn.races import KINDS
from policy.checkpoint import Policy, digest, load_policy
from writing.files import write_json

SEED = 7_000_000  # of the first race; not those of meta-training, calibration and other benchmarks
SUFFIXES = {"usual": "", "long": ", longer", "scarce": ", little data"}  # of a family's name


def main(
    policy: tyro.conf.Positional[Path],
    out: Path = Path("runs/fresh_races.json"),
    races: int = 100,
    long: int = 40,
    scarce: int = 40,
    processes: int = 2,
) -> None:
    """Run a policy and constant rates on fresh races.

    Args:
        policy: policy file.
        out: results, as JSON.
        races: seeds to draw from; some give no race.
        long: seeds of longer races, among the same.
        scarce: seeds of races with little data.
        processes: that run races at the same time.
    """
    learned = load_policy(policy)
    counts = zip(KINDS, (races, long, scarce), strict=True)
    seeds = [(SEED + i, kind) for kind, count in counts for i in range(count)]
    rows = race_costs(seeds, [learned, Policy(HAND_SET, None)], processes)
    result = {**stamp("cpu", SEED), "policy sha256": digest(learned), "rows": rows}
    result["families"] = summaries(rows)
    write_json(out, result)
    print(markdown(result))


def summaries(rows):
    """For each family and for all, kind by kind: number of races, harmonic means of both speed-ups,
    and the geometric mean of constant rates' steps over the policy's with a 95 % bootstrap
    interval."""
    found = {}
    for kind in KINDS:
        alike = [row for row in rows if row["kind"] == kind]
        for family in [*sorted({row["family"] for row in alike}), "all"]:
            chosen = [row for row in alike if family in (row["family"], "all")]
            if chosen:
                found[family + SUFFIXES[kind]] = _summary(chosen)
    return found


def _summary(rows):
    costs = np.array([row["costs"] for row in rows])
    ratios = np.log(costs[:, 1] / costs[:, 0])
    ratio, interval = geometric_mean(ratios)
    return {
        "races": len(costs),
        "speedups": (1 / costs.mean(0)).tolist(),
        "ratio": ratio,
        "interval": interval,
    }


if __name__ == "__main__":
    tyro.cli(main)
