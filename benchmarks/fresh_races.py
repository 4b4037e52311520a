"""The learned policy against constant rates: whole runs of the driver on networks new to both.

Networks are random variants of the training families of working size, run one at a time, to the
loss that Adam(1e-3) reached. The kinds are: enough data for the run (`tasks.working_size`), longer
runs, little data (`tasks.scarce`), and edge cases with one layer, many layers or rare words
(`tasks.edges`). The driver's clock is processor time, so other work on the machine doesn't affect
its decisions. A run that misses the target counts with the time that it spent.
"""

from dataclasses import replace

import numpy as np

from benchmarks.origin import sentence
from benchmarks.results import by_family
from benchmarks.settings import PolicySettings
from benchmarks.steps import whole_run
from checkpoints_to_source.train_file import HAND_SET
from metalearn.races import KINDS, draw_race
from policy.checkpoint import Policy, load_policy
from writing.markdown import table as table_of
from writing.statistics import mean_cell

NAME, PAGE = "fresh_races", "docs/behaviour.md"
Settings = PolicySettings
HEADER = ("family", "races", "time", "steps", "missed by the policy", "by constant rates")
SEED = 12_000_000  # first race's; differs from meta-training and all choices made so far
# Kind of race -> suffix of the family's name.
SUFFIXES = {"usual": "", "long": ", longer", "scarce": ", little data", "edge": ", at the edge"}
COUNTS = dict(zip(KINDS, (100, 20, 40, 40), strict=True))  # seeds per kind; some yield no race
LEARNED, CONSTANT = "learned", "constant"


def jobs(settings: Settings) -> list[tuple]:
    """Return the races of each kind, with both rules; the longer ones share the same seeds."""
    policies = {LEARNED: load_policy(settings.policy), CONSTANT: Policy(HAND_SET, None)}
    return [(SEED + i, kind, policies) for kind in KINDS for i in range(COUNTS[kind])]


def measure(job: tuple) -> list[dict]:
    """Return one row with the whole run of each policy on a seed's race, or none without a race.

    A policy's weights are None for constant rates.
    """
    seed, kind, policies = job
    race = draw_race(seed, kind)
    if race is None:
        return []
    variant = replace(race.variant, target=race.target)
    names = list(policies)[:: 1 if seed % 2 else -1]
    found = {name: whole_run(variant, seed, policies[name]) for name in names}
    return [{"seed": seed, "family": variant.family, "kind": kind, **found}]


def table(result: dict) -> str:
    """Return time and steps of constant rates over the policy's, and the origin of the numbers.

    Entries are geometric means by family and over all families, kind by kind.
    """
    rows = []
    for kind in KINDS:
        alike = [row for row in result["rows"] if row["kind"] == kind]
        for family, chosen in by_family(alike).items():
            if chosen:
                rows.append([family + SUFFIXES[kind], *_cells(chosen)])
    return f"{table_of(HEADER, rows)}\n\n{sentence(result)}"


def _cells(rows):
    ratios = (
        mean_cell([np.log(row[CONSTANT][of] / row[LEARNED][of]) for row in rows])
        for of in ("seconds", "steps")
    )
    missed = (sum(not row[name]["reached"] for row in rows) for name in (LEARNED, CONSTANT))
    return [str(len(rows)), *ratios, *map(str, missed)]
