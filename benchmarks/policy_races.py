"""Policies against each other on races of training families, to choose between them.

    python -m benchmarks.policy_races A.safetensors B.safetensors --out FILE.json
    python -m benchmarks.policy_races_table docs/results/policy_races.json checkpoints/README.md

The races are like those of :mod:`benchmarks.fresh_races`, as many of each kind, and of other seeds:
a policy that was chosen here can still be measured there.
"""

from pathlib import Path

import tyro

from benchmarks.page import stamp
from benchmarks.race_costs import race_costs
from metalearn.races import KINDS
from policy.checkpoint import digest, load_policy
from writing.files import write_json

SEED = 8_000_000  # of the first race; not those of meta-training, calibration and other benchmarks


def main(
    policies: tyro.conf.Positional[tuple[Path, ...]],
    out: Path = Path("runs/policy_races.json"),
    races: int = 40,
    processes: int = 2,
) -> None:
    """Run policies on the same races.

    Args:
        policies: policy files; the others are compared to the first.
        out: results, as JSON.
        races: seeds to draw from, of each kind anew; some give no race.
        processes: that run races at the same time.
    """
    loaded = [load_policy(path) for path in policies]
    seeds = [(SEED + i, kind) for i in range(races) for kind in KINDS]
    rows = race_costs(seeds, loaded, processes)
    digests = [digest(policy) for policy in loaded]
    names = [path.stem for path in policies]
    write_json(
        out, {**stamp("cpu", SEED), "policies": names, "policy sha256": digests, "rows": rows}
    )


if __name__ == "__main__":
    tyro.cli(main)
