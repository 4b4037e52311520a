"""``python -m metalearn.calibrate POLICY --base-rate 3e-4 --out OUT``: scale all rates of a policy.

Meta-training sees small networks only. What it learns of the course of the rates holds for larger
ones, their height less so; that one number can be chosen afterwards, on tasks that are too large to
train on.
"""

import sys
from pathlib import Path

import tyro

from policy.checkpoint import (
    RESERVED,
    PolicyError,
    load_policy,
    read_metadata,
    save_policy,
)


def calibrate(source, base_rate, out):
    """Write the policy file ``source`` to ``out`` with another base rate, metadata and all.

    Raises PolicyError for a file that is no sound policy or a rate that is not positive, OSError
    where a file cannot be read or written.
    """
    policy = load_policy(source)
    if not base_rate > 0:
        raise PolicyError(f"base rate {base_rate}: give a positive number")
    kept = {k: v for k, v in read_metadata(source).items() if k not in RESERVED}
    kept["base_rate_in_training"] = repr(policy.spec.base_rate)
    save_policy(out, policy._replace(spec=policy.spec._replace(base_rate=base_rate)), kept)


def main(policy: tyro.conf.Positional[Path], base_rate: float, out: Path) -> None:
    """Scale all rates of a policy.

    Args:
        policy: policy file.
        base_rate: learning rate of each direction where the controller's output is zero.
        out: file for the scaled policy.
    """
    try:
        calibrate(policy, base_rate, out)
    except (PolicyError, OSError) as fault:
        print(f"error: {fault}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    tyro.cli(main)
