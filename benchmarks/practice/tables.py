"""Tables of final losses, and of when LearnedLR reaches those of its peers."""

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.practice.networks import NETWORKS
from benchmarks.practice.optimizers import OPTIMIZERS
from benchmarks.practice.outcomes import best, final, reached
from benchmarks.results import grouped
from benchmarks.statistics import geometric_mean, with_interval
from writing.markdown import table as table_of

OURS, PEERS = "learned", [name for name in OPTIMIZERS if name != "learned"]
RIVALS = "adamw", "muon"  # whose final loss is to be reached


def table(result: dict) -> str:
    """Return final losses, then times to the rivals' losses, then where the numbers come from.

    Networks of which a run is missing are left out.
    """
    cases = grouped(result["rows"], "network", "budget", "width")
    whole = {case: _by_setting(rows) for case, rows in cases.items() if _is_whole(rows)}
    if not whole:
        return "No network has runs of all optimizers yet."
    return "\n\n".join([_losses(whole), _ratios(whole), _times(whole), _origin(result["rows"])])


def _is_whole(rows):
    """Whether there is a run of each setting of each optimizer."""
    needed = {(name, setting) for name, one in OPTIMIZERS.items() for setting in one.grid}
    return needed <= {(row["optimizer"], row["setting"]) for row in rows}


def _by_setting(rows):
    """Optimizer -> setting -> runs by seed, of the seeds that all settings have."""
    settings = grouped(rows, "optimizer", "setting")
    common = set.intersection(*({run["seed"] for run in runs} for runs in settings.values()))
    found = {}
    for (optimizer, setting), runs in settings.items():
        kept = sorted((run for run in runs if run["seed"] in common), key=lambda run: run["seed"])
        found.setdefault(optimizer, {})[setting] = kept
    return found


def _best_runs(case, optimizer):
    settings = case[optimizer]
    return settings[best(settings)]


def _name(key, case):
    """A network with its size and steps, changed ones named by their factors."""
    network, budget, width = key
    run = _best_runs(case, OURS)[0]
    scale = [f"{n} times the {what}" for n, what in ((budget, "steps"), (width, "width")) if n > 1]
    told = [f"{run['weights']:,} weights", f"{run['steps']:,} steps", *scale]
    return f"{NETWORKS[network].name}; {', '.join(told)}"


def _losses(cases):
    """Means over seeds of the final losses, and the setting where there are several."""
    rows = [
        [_name(key, case), *(_loss(case, optimizer) for optimizer in OPTIMIZERS)]
        for key, case in cases.items()
    ]
    return table_of(["final validation loss", *(one.name for one in OPTIMIZERS.values())], rows)


def _loss(case, optimizer):
    mean = np.mean([final(run) for run in _best_runs(case, optimizer)])
    settings = case[optimizer]
    return f"{mean:.3g}" + (f" ({best(settings)})" if len(settings) > 1 else "")


def _ratios(cases):
    """LearnedLR's final loss over each peer's, with intervals, and over all networks."""
    rows, logs = [], {peer: [] for peer in PEERS}
    for key, case in cases.items():
        cells = []
        for peer in PEERS:
            found = _log_ratios(case, peer)
            logs[peer].append(found.mean())
            cells.append(with_interval(*geometric_mean(found)))
        rows.append([NETWORKS[key[0]].name, *cells])
    means = [with_interval(*geometric_mean(np.array(logs[peer]))) for peer in PEERS]
    header = ["LearnedLR's final loss over that of", *(OPTIMIZERS[peer].name for peer in PEERS)]
    return table_of(header, [*rows, ["geometric mean", *means]])


def _log_ratios(case, peer):
    pairs = zip(_best_runs(case, OURS), _best_runs(case, peer), strict=True)
    return np.array([math.log(final(ours) / final(theirs)) for ours, theirs in pairs])


def _times(cases):
    """When LearnedLR reaches the rivals' final losses, what its steps take, and its state."""
    rows = []
    for key, case in cases.items():
        cells = [cell for rival in RIVALS for cell in _speed_ups(case, rival)]
        ours, adamw = _best_runs(case, OURS), _best_runs(case, "adamw")
        step = np.exp(np.mean([math.log(_second(a) / _second(b)) for a, b in _pairs(ours, adamw)]))
        state = [f"{runs[0]['state'] / 4:.1f}" for runs in (ours, adamw)]
        rows.append([NETWORKS[key[0]].name, *cells, f"{step:.2f}", " / ".join(state)])
    header = [
        f"{OPTIMIZERS[rival].name}: its final loss, times as fast in {unit}"
        for rival in RIVALS
        for unit in ("steps", "time")
    ]
    tail = ["step over AdamW's", "float32 values a weight, LearnedLR / AdamW"]
    return table_of(["LearnedLR", *header, *tail], rows)


def _pairs(ours, theirs):
    return zip(ours, theirs, strict=True)


def _second(run):
    """Of a step."""
    return run["curve"]["seconds"][-1] / run["steps"]


def _speed_ups(case, rival):
    """In steps and in time, geometric means over seeds; a dash where a seed does not reach it."""
    logs = []
    for ours, theirs in _pairs(_best_runs(case, OURS), _best_runs(case, rival)):
        found = reached(ours, final(theirs))
        if found is None:
            return ["-", "-"]
        step, seconds = found
        logs.append([theirs["steps"] / step, theirs["curve"]["seconds"][-1] / seconds])
    return [f"{mean:.2f}" for mean in np.exp(np.log(logs).mean(0))]


def _origin(rows):
    """Processors, versions and commits of the runs."""
    facts = {
        name: ", ".join(sorted({row[name] for row in rows})) for name in ("cpu", "torch", "commit")
    }
    seeds = len({row["seed"] for row in rows})
    return (
        f"n = {seeds} seeds; of a grid the setting with the lowest mean. Processor time, one "
        f"thread. {facts['cpu']}; torch {facts['torch']}; commit {facts['commit']}."
    )
