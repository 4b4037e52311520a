"""What learning adds, from the result files of `python -m benchmarks` that are of this policy."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import stats

from checkpoints_to_source.report.results import ReportError

FAILING = 3.0  # times the steps of constant rates: from there on a policy fails on a kind
LEAST_TIME = 0.003  # over the baseline's, that any run takes (`benchmarks.hindsight`)


def measured(folder: Path, policy_sha256: str) -> dict:
    """Return name -> facts (plain data) of each benchmark in a folder of result files.

    None of a benchmark that is not there or measured another policy. Raises ReportError.
    """
    return {
        name: _read(folder / f"{name}.json", policy_sha256, facts) for name, facts in FACTS.items()
    }


def _read(path, policy_sha256, facts):
    if not path.exists():
        return None
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        if result["policy sha256"] != policy_sha256:
            return None
        return facts(result)
    except (KeyError, RecursionError, TypeError, ValueError) as problem:
        raise ReportError(
            f"{path}: not a result of this benchmark ({problem!r}); run python -m benchmarks again"
        ) from None


def _ablation(result):
    rows = [
        {"name": row["name"], "mean": row["relative"], "interval": row["relative_interval"]}
        for row in result["rows"]
    ]
    return {"episodes": len(result["families"]) * result["episodes"], "rows": rows}


def _driver_parts(result):
    """Time without each part over that with all."""
    parts = _grouped(result["rows"], "without")
    whole = {(row["pair"], row["seed"]): row["seconds"] for row in parts.pop("all")}
    rows = [
        {
            "name": part,
            **_mean(
                [np.log(row["seconds"] / whole[row["pair"], row["seed"]]) for row in rows],
                [row["pair"] for row in rows],
            ),
        }
        for part, rows in parts.items()
    ]
    return {"runs": len(whole), "rows": rows}


def _fresh_races(result):
    """Time of constant rates over the policy's, on the usual races."""
    usual = [row for row in result["rows"] if row["kind"] == "usual"]
    rows = [
        {
            "name": family,
            "races": len(races),
            **_mean([np.log(r["constant"]["seconds"] / r["learned"]["seconds"]) for r in races]),
        }
        for family, races in {**_grouped(usual, "family"), "all": usual}.items()
    ]
    rows.sort(key=lambda row: (row["name"] == "all", -row["mean"]))
    missed = [sum(not row[name]["reached"] for row in usual) for name in ("learned", "constant")]
    return {"rows": rows, "missed": missed}


def _hindsight(result):
    """Steps to a target over those at the height of all rates that was best in hindsight."""
    timed = [row for row in result["rows"] if not row["fixed"]]
    return {"groups": len(timed), **_mean([-_at_the_best_height(row) for row in timed])}


def _at_the_best_height(row):
    """Return the mean log ratio, at the height that was best in the other half of the episodes."""
    names = ["shipped", *(name for name in row if name.startswith("rates times "))]
    times = np.log(np.add([row[name] for name in names], LEAST_TIME))
    logs = times - times[0]
    halves = [logs[:, 0::2], logs[:, 1::2]]
    return np.mean([b[a.mean(1).argmin()].mean() for a, b in (halves, halves[::-1])])


def _kinds(result):
    """Speed-ups in steps over Adam of the policy and of constant rates; a miss counts as one that
    takes as long as the limit."""
    runs, limit = result["rows"], result["limit"]

    def speedups(runs, rule):
        return [r["baseline"] / (r["steps"][rule] or limit * r["baseline"]) for r in runs]

    def cost(runs):
        """The policy's steps over those of constant rates."""
        ours, constant = (np.log(speedups(runs, rule)).mean() for rule in (0, 1))
        return constant - ours

    costs = {kind: cost(own) for kind, own in _grouped(runs, "kind").items()}
    failing = {kind: value for kind, value in costs.items() if value > np.log(FAILING)}
    return {
        "kinds": len(costs),
        "runs": len(runs),
        "means": [statistics.harmonic_mean(speedups(runs, rule)) for rule in (0, 1)],
        "slower": [sum(x < 1 for x in speedups(runs, rule)) for rule in (0, 1)],
        "failing": list(failing),
        "failing_costs": [float(np.exp(end(failing.values()))) for end in (min, max)]
        if failing
        else None,
        "others": _mean([-value for kind, value in costs.items() if kind not in failing]),
    }


def _grouped(rows, key):
    """Return the rows of each value of a key, in order of appearance."""
    groups: dict = {}
    for row in rows:
        groups.setdefault(row[key], []).append(row)
    return groups


def _mean(logs: Sequence[float], networks: Sequence | None = None) -> dict:
    """Return the geometric mean with its 95 % bootstrap interval, as the benchmarks' tables do.

    Args:
        networks: of each log; those of one network are drawn together.
    """
    _, which = np.unique(range(len(logs)) if networks is None else networks, return_inverse=True)
    sums, counts = np.bincount(which, logs), np.bincount(which)
    if len(sums) == 1:  # of one there is nothing to draw; scipy asks for two
        sums, counts = np.repeat(sums, 2), np.repeat(counts, 2)
    found = stats.bootstrap(
        [sums, counts],
        lambda sums, counts, axis: np.exp(sums.sum(axis) / counts.sum(axis)),
        paired=True,
        axis=-1,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    interval = [float(end) for end in found.confidence_interval]
    return {"mean": float(np.exp(np.mean(logs))), "interval": interval}


FACTS = {
    "ablation": _ablation,
    "driver_parts": _driver_parts,
    "fresh_races": _fresh_races,
    "hindsight": _hindsight,
    "kinds": _kinds,
}
