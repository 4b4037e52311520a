"""What learning adds, from the result files of `python -m benchmarks` that are of this policy."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from checkpoints_to_source.report.results import ReportError
from writing.statistics import geometric_mean, grouped

FAILING = 3.0  # times the steps of constant rates: from there on a policy fails on a kind
LEAST_TIME = 0.003  # added to all times over the baseline's, so that their logs are finite


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
    parts = grouped(result["rows"], "without")
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
        for family, races in {**grouped(usual, "family"), "all": usual}.items()
    ]
    rows.sort(key=lambda row: (row["name"] == "all", -row["mean"]))
    missed = [sum(not row[name]["reached"] for row in usual) for name in ("learned", "constant")]
    return {"rows": rows, "missed": missed}


def _hindsight(result):
    """Steps to a target over those at the height of all rates that was best in hindsight."""
    timed = [row for row in result["rows"] if not row["fixed"]]
    return {"groups": len(timed), **_mean([-at_the_best_height(row) for row in timed])}


def at_the_best_height(row: dict) -> float:
    """Return the mean log ratio to the shipped policy's time, at the height of all rates that was
    best in the other half of the episodes."""
    names = ["shipped", *(name for name in row if name.startswith("rates times "))]
    times = np.log(np.add([row[name] for name in names], LEAST_TIME))
    logs = times - times[0]
    halves = [logs[:, 0::2], logs[:, 1::2]]
    return np.mean([b[a.mean(1).argmin()].mean() for a, b in (halves, halves[::-1])])


def _kinds(result):
    """Speed-ups in steps over Adam of the policy and of constant rates."""
    runs, limit = result["rows"], result["limit"]
    found = [counted_speedups(runs, rule, limit) for rule in (0, 1)]
    ratios = {kind: log_ratio(own, limit) for kind, own in grouped(runs, "kind").items()}
    costs = {kind: -ratio for kind, ratio in ratios.items() if -ratio > np.log(FAILING)}
    return {
        "kinds": len(ratios),
        "runs": len(runs),
        "means": [statistics.harmonic_mean(one) for one in found],
        "slower": [sum(x < 1 for x in one) for one in found],
        "failing": list(costs),
        "failing_costs": [float(np.exp(end(costs.values()))) for end in (min, max)]
        if costs
        else None,
        "others": _mean([ratio for kind, ratio in ratios.items() if kind not in costs]),
    }


def counted_speedups(runs: Sequence[dict], rule: int, limit: float) -> list[float]:
    """Return the speed-up of each run; a miss counts as a run that takes as long as the limit."""
    return [
        run["baseline"] / run["steps"][rule] if run["steps"][rule] else 1 / limit for run in runs
    ]


def log_ratio(runs: Sequence[dict], limit: float) -> float:
    """Return the mean log ratio of the policy's speed-ups to those of constant rates."""
    ours, constant = (np.log(counted_speedups(runs, rule, limit)).mean() for rule in (0, 1))
    return ours - constant


def _mean(logs: Sequence[float], networks: Sequence | None = None) -> dict:
    """Return the geometric mean with its interval, as the benchmarks' tables do."""
    mean, interval = geometric_mean(np.array(logs), networks)
    return {"mean": mean, "interval": interval}


FACTS = {
    "ablation": _ablation,
    "driver_parts": _driver_parts,
    "fresh_races": _fresh_races,
    "hindsight": _hindsight,
    "kinds": _kinds,
}
