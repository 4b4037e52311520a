"""The table of docs/results.md on all runs of the same weights.

    python -m benchmarks.pooled_table docs/results/pooled.json docs/results.md

writes the table between its two markers. Repeats of one number have the same initial weights and
batch order in every evaluation, so their runs are not independent: geometric means are over these
runs, then over the pair's initial weights, each of which counts once; over the pairs it is the
harmonic mean. 95 % bootstrap intervals draw initial weights within a pair, the pairs being fixed.
"""

import math
from collections import defaultdict

import numpy as np

from benchmarks import page as pages
from benchmarks.ablation_table import with_interval
from benchmarks.pooled_runs import MEASURES
from evaluate.score.score import harmonic_mean
from writing.markdown import table as table_of

RESAMPLES = 4000
BASELINE, OURS, CONSTANT = range(3)
WORDS = {"seconds": "time", "steps": "steps"}


def log_ratios(result, measure, other, ours):
    """Of each pair and repeat, the logarithms of the other's measure over ours, a list of runs;
    -inf where ours missed, none where the other did."""
    ratios = defaultdict(lambda: defaultdict(list))
    for evaluation in result["evaluations"]:
        for run in evaluation["runs"]:
            a, b = run[measure][other], run[measure][ours]
            if a is not None:
                found = ratios[run["pair"]][run["repeat"]]
                found.append(-math.inf if b is None else math.log(a / b))
    return ratios


def means_of_repeats(ratios):
    """Of each pair, the mean over the runs of each repeat."""
    return {pair: [np.mean(runs) for runs in found.values()] for pair, found in ratios.items()}


def mean_and_interval(ratios):
    """The harmonic mean over pairs of their geometric means, and the ends of its interval."""
    generator = np.random.default_rng(0)
    of_pairs = means_of_repeats(ratios).values()
    drawn = [np.exp(generator.choice(of, (RESAMPLES, len(of))).mean(1)) for of in of_pairs]
    means = [harmonic_mean(list(row)) for row in np.stack(drawn, 1)]
    found = harmonic_mean([math.exp(np.mean(of)) for of in of_pairs])
    return found, *np.percentile(means, [2.5, 97.5])


def markdown(result):
    """Three tables: means, constant rates on each pair, and where the runs come from."""
    rows = []
    for name, other, ours in (
        ("speed-up of `train` over the baseline", BASELINE, OURS),
        ("speed-up of `policy_free`", BASELINE, CONSTANT),
        ("what `policy_free` takes over what `train` takes", CONSTANT, OURS),
    ):
        found = [mean_and_interval(log_ratios(result, m, other, ours)) for m in MEASURES]
        rows.append([name, *(with_interval(mean, bounds) for mean, *bounds in found)])
    means = table_of(["", *(f"in {WORDS[m]}" for m in MEASURES)], rows)
    by_pair = {m: log_ratios(result, m, CONSTANT, OURS) for m in MEASURES}
    pairs = list(by_pair["steps"])
    rows = [
        [f"`policy_free` over `train` in {WORDS[m]}"]
        + [f"{math.exp(np.mean(of)):.2f}" for of in means_of_repeats(by_pair[m]).values()]
        for m in MEASURES
    ]
    rows.append(["initial weights", *(str(len(by_pair["steps"][pair])) for pair in pairs)])
    rows.append(["runs", *(str(len(_all_runs(by_pair["steps"][pair]))) for pair in pairs)])
    return f"{means}\n\n{table_of(['', *pairs], rows)}\n\n{_origin(result)}"


def _all_runs(repeats):
    return [run for runs in repeats.values() for run in runs]


def _origin(result):
    speed_ups = log_ratios(result, "seconds", BASELINE, OURS).values()
    slowest = min(min(_all_runs(repeats)) for repeats in speed_ups)
    parts = [
        f"{len(one['runs'])} at commit {one['commit'][:7]} ({one['hardware']['cpu']}, {one['date']}"
        + (f"; {one['left out']} left out, as the baseline missed)" if one["left out"] else ")")
        for one in result["evaluations"]
    ]
    runs = [run for one in result["evaluations"] for run in one["runs"]]
    missed = sum(run["steps"][CONSTANT] is None for run in runs)
    lost = f"`policy_free` missed {missed}, which its row over `train` lacks. " if missed else ""
    return (
        f"The slowest run of `train` is {math.exp(slowest):.2f} times as fast as its baseline. "
        f"{lost}Runs: {', '.join(parts)}."
    )


if __name__ == "__main__":
    pages.table_command("pooled", markdown)
