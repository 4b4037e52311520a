"""A policy against constant rates on networks of working size that neither was made with.

Both train the same random variants of the training families, one network at a time, to what
Adam(1e-3) reached. Some have data enough for the run (`tasks.working_size`), some run for longer,
and some have little (`tasks.scarce`). What is counted is told in `benchmarks.race_costs`.
"""

import numpy as np

from benchmarks.origin import sentence
from benchmarks.race_costs import costs
from benchmarks.settings import PolicySettings
from benchmarks.statistics import geometric_mean, with_interval
from checkpoints_to_source.train_file import HAND_SET
from metalearn.races import KINDS
from policy.checkpoint import Policy, load_policy
from writing.markdown import table as table_of

NAME, PAGE = "fresh_races", "docs/behaviour.md"
Settings = PolicySettings
HEADER = ("family", "races", "the policy", "constant rates", "steps of these over the policy's")
SEED = 7_000_000  # of the first race; not those of meta-training, calibration and other benchmarks
SUFFIXES = {"usual": "", "long": ", longer", "scarce": ", little data"}  # of a family's name
COUNTS = dict(zip(KINDS, (100, 40, 40), strict=True))  # seeds to draw from; some give no race


def jobs(settings: Settings) -> list[tuple]:
    """Races of each kind, the longer ones among the same seeds, with both rules."""
    policies = [load_policy(settings.policy), Policy(HAND_SET, None)]
    return [(SEED + i, kind, policies) for kind in KINDS for i in range(COUNTS[kind])]


def summaries(rows: list[dict]) -> dict:
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


def table(result: dict) -> str:
    """One row a family, and where the numbers come from."""
    rows = [
        (
            family,
            str(row["races"]),
            *(f"{speedup:.2f}" for speedup in row["speedups"]),
            with_interval(row["ratio"], row["interval"]),
        )
        for family, row in summaries(result["rows"]).items()
    ]
    return f"{table_of(HEADER, rows)}\n\n{sentence(result)}"


measure = costs
