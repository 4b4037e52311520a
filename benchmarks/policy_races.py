"""Policies against each other on races of training families, to choose between them.

The races are like those of `benchmarks.fresh_races`, as many of each kind, and of other seeds:
a policy that was chosen here can still be measured there. The usual and the long race of a seed are
of one network, and are drawn together for the intervals.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from benchmarks import settings
from benchmarks.origin import sentence
from benchmarks.race_costs import costs
from benchmarks.statistics import geometric_mean, with_interval
from metalearn.races import KINDS
from policy.checkpoint import digest, load_policy
from writing.markdown import table as table_of

NAME, PAGE = "policy_races", "checkpoints/README.md"
ALSO = {"trust_races": "docs/experiments.md", "beginning_races": "docs/behaviour.md"}
SEED = 8_000_000  # of the first race; not those of meta-training, calibration and other benchmarks


@dataclass(frozen=True, kw_only=True)
class Settings(settings.Settings):
    """Run policies on the same races."""

    policies: tyro.conf.Positional[tuple[Path, ...]]
    """Policy files; the others are compared to the first."""

    races: int = 40
    """Seeds to draw from, of each kind anew; some give no race."""


def jobs(settings: Settings) -> list[tuple]:
    """Races of all kinds, with the policies."""
    policies = [load_policy(path) for path in settings.policies]
    return [(SEED + i, kind, policies) for i in range(settings.races) for kind in KINDS]


measure = costs


def about(settings: Settings, rows: list[dict]) -> dict:
    digests = [digest(load_policy(path)) for path in settings.policies]
    return {"policies": [path.stem for path in settings.policies], "policy sha256": digests}


def table(result: dict) -> str:
    """One row a policy, and where the numbers come from."""
    rows = result["rows"]
    found = np.array([row["costs"] for row in rows])
    gains = np.log(found[:, :1] / found)
    networks = [f"{row['seed']} {row['kind'] == 'scarce'}" for row in rows]
    kinds = _kinds(rows)
    header = ["policy", "harmonic mean", "over the first", *(f"{n} {k}" for k, n, _ in kinds)]
    cells = []
    for i, name in enumerate(result["policies"]):
        gain = gains[:, i]
        over = with_interval(*geometric_mean(gain, networks))
        of_kinds = (f"{np.exp(gain[chosen].mean()):.2f}" for *_, chosen in kinds)
        cells.append([name, f"{1 / found[:, i].mean():.2f}", over, *of_kinds])
    return f"{table_of(header, cells)}\n\n{sentence(result)}"


def _kinds(rows):
    """Name, number and mask of the races of each kind and of each family, the larger first."""
    kinds = _masks(rows, "kind").items()
    families = sorted(_masks(rows, "family").items(), key=lambda item: (-item[1].sum(), item[0]))
    return [(name, int(mask.sum()), mask) for name, mask in [*kinds, *families]]


def _masks(rows, key):
    values = np.array([row[key] for row in rows])
    return {value: values == value for value in sorted(set(values.tolist()))}
