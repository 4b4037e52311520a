"""The learned policy against constant rates, whole runs of the driver on networks that neither saw.

Random variants of the training families of working size, one network at a time, to what Adam(1e-3)
reached. Some have data enough for the run (`tasks.working_size`), some run for longer, some have
little data (`tasks.scarce`), and some have one layer, many, or rare words (`tasks.edges`). The
driver goes by the processor's time, so that other work on the machine decides nothing; a run that
does not arrive counts with what it spent.
"""

from dataclasses import replace

import numpy as np

from benchmarks.origin import sentence
from benchmarks.results import by_family
from benchmarks.settings import PolicySettings
from benchmarks.statistics import mean_cell
from benchmarks.steps import whole_run
from checkpoints_to_source.train_file import HAND_SET
from metalearn.races import KINDS, draw_race
from policy.checkpoint import Policy, load_policy
from writing.markdown import table as table_of

NAME, PAGE = "fresh_races", "docs/behaviour.md"
Settings = PolicySettings
HEADER = ("family", "races", "time", "steps", "missed by the policy", "by constant rates")
SEED = 12_000_000  # of the first race; not those of meta-training and other choices
# Of a family's name.
SUFFIXES = {"usual": "", "long": ", longer", "scarce": ", little data", "edge": ", at the edge"}
COUNTS = dict(zip(KINDS, (100, 20, 40, 40), strict=True))  # seeds to draw from; some give no race
LEARNED, CONSTANT = "learned", "constant"


def jobs(settings: Settings) -> list[tuple]:
    """Races of each kind, the longer ones among the same seeds, with both rules."""
    policies = {LEARNED: load_policy(settings.policy), CONSTANT: Policy(HAND_SET, None)}
    return [(SEED + i, kind, policies) for kind in KINDS for i in range(COUNTS[kind])]


def measure(job: tuple) -> list[dict]:
    """A row with the whole run of each policy on the race of a seed; none without a race.

    Weights of a policy are None for constant rates.
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
    """For each family and for all, kind by kind: constant rates' time and steps over the policy's,
    geometric means; where the numbers come from."""
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
