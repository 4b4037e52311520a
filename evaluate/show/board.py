"""Tables of results: scores of all methods, and one method against each other method."""

import statistics
from collections.abc import Callable, Sequence

from evaluate.errors import InputError
from evaluate.provenance import short_commit
from evaluate.score.profile import area, ratios
from evaluate.score.results import Result
from evaluate.score.score import (
    PairScore,
    bootstrap_interval,
    mean_speed_up,
    seconds,
    speed_up,
    steps,
)
from evaluate.score.standing import (
    Standing,
    baseline_name,
    comparable,
    entered,
    labels,
    pair_names,
    runs_of,
    standings,
)
from evaluate.score.versus import Versus, against_each
from evaluate.show.table import Content, three_digits

#: Cell without a value: the pair was not run, or its baseline missed.
NONE = "-"
#: With more pairs than this, they get separate tables.
PAIRS_BESIDE = 5
#: Names of the measures.
WORDS = {"seconds": "time", "steps": "steps"}


def contents(results: Sequence[Result], beside: float = PAIRS_BESIDE) -> list[Content]:
    """Return one table for each suite and hardware in the results (oldest first).

    `beside`: with more pairs than this, their columns go into tables below.
    """
    return [content(group, beside) for group in comparable(results)]


def comparisons(results: Sequence[Result], names: Sequence[str] | None = None) -> list[Content]:
    """Return tables that compare each named method with all others.

    By default, compare each method entered as a file. Raise InputError for an unknown name.
    """
    groups = comparable(results)
    known = {name for group in groups for name in labels(group).values()}
    for name in names or ():
        if name not in known:
            raise InputError(f"--against {name}: no such method; name one of {sorted(known)}")
    return [
        comparison(group, sha256)
        for group in groups
        for sha256, name in labels(group).items()
        if (sha256 in entered(group) if names is None else name in names)
    ]


def content(group: Sequence[Result], beside: float = PAIRS_BESIDE) -> Content:
    """Return the table of a group of comparable results; `beside` as in `contents`."""
    found, measures = standings(group), _measures(group)
    costs = profile_costs(found, group[0].timed)
    areas = {sha256: area(row) for sha256, row in ratios(costs).items()}

    def cells(measures: Sequence[str]) -> list[list[str]]:
        return [
            _baseline_cells(group, measures),
            *([_pair_cell(score, measures) for score in one.pairs.values()] for one in found),
        ]

    return _beside_or_below(
        title=_on(group, "Suite"),
        caption=_caption(group, found),
        header=["Method", "Score", "95 % interval", "Misses at the limit", "Solved", "Profile"],
        rows=[
            _baseline_row(group),
            *(_row(one, measures, areas.get(one.sha256)) for one in found),
        ],
        pairs=pair_names(group),
        cells=cells,
        measures=measures,
        beside=beside,
    )


def comparison(group: Sequence[Result], ours: str) -> Content:
    """Return the table that compares a method (by digest) with each other, closest rival first."""
    measures, name = _measures(group), labels(group)[ours]
    baseline, *rivals = against_each(group, ours)

    def rank(one: Versus) -> tuple:
        return (not one.is_complete, one.is_complete and _mean(one, measures[0]))

    ordered = [baseline, *sorted(rivals, key=rank)]
    return _beside_or_below(
        title=_on(group, f"{name} against each other method: suite"),
        caption=f"How many times what {name} takes each other method takes, in "
        f"{_words(measures)}, of the same repeat; first the harmonic mean "
        f"over the pairs, with its bootstrap interval in {WORDS[measures[0]]}; "
        "a method that missed counts with what it spent (>=).",
        header=["Other method", f"Times {name}", "95 % interval"],
        rows=[_versus_row(one, measures) for one in ordered],
        pairs=pair_names(group),
        cells=lambda measures: [_versus_cells(one, measures) for one in ordered],
        measures=measures,
    )


def _beside_or_below(
    title: str,
    caption: str,
    header: list[str],
    rows: list[list[str]],
    pairs: list[str],
    cells: Callable[[Sequence[str]], list[list[str]]],
    measures: Sequence[str],
    beside: float = PAIRS_BESIDE,
) -> Content:
    """Return a table with the pairs as columns or, for many pairs, in a table below per measure.

    `cells(measures)`: the cells of the pairs, for each row.
    """
    if len(pairs) <= beside:
        wide = [[*row, *more] for row, more in zip(rows, cells(measures), strict=True)]
        return Content(title, caption, [*header, *pairs], wide)

    def detail(measure: str) -> Content:
        named = [[row[0], *more] for row, more in zip(rows, cells([measure]), strict=True)]
        return Content(f"On each pair, in {WORDS[measure]}", "", [header[0], *pairs], named)

    return Content(title, caption, header, rows, tuple(map(detail, measures)))


def _measures(group: Sequence[Result]) -> list[str]:
    return ["seconds", "steps"] if group[0].timed else ["steps"]


def _words(measures: Sequence[str]) -> str:
    return " / in ".join(WORDS[measure] for measure in measures)


def _on(group: Sequence[Result], what: str) -> str:
    place = group[0].hardware["gpu"] or group[0].hardware["cpu"]
    return f"{what} {group[0].suite} " + (
        f"on {place}" if group[0].timed else "in steps, not timed"
    )


def _mean(one: Versus, measure: str) -> float:
    return mean_speed_up(list(one.costs[measure].values()))


def _versus_row(one: Versus, measures: Sequence[str]) -> list[str]:
    if not one.is_complete:
        return [one.rival, NONE, NONE]
    ends = bootstrap_interval(list(one.costs[measures[0]].values()))
    mean = " / ".join(f"{_mean(one, measure):.2f}" for measure in measures)
    return [one.rival, (">= " if one.is_bound else "") + mean, interval_cell(ends)]


def _versus_cells(one: Versus, measures: Sequence[str]) -> list[str]:
    pairs = zip(*(one.costs[measure].values() for measure in measures), strict=True)
    return [
        " / ".join(f"{speed_up(costs):.2f}" for costs in pair) if pair[0] else NONE
        for pair in pairs
    ]


def profile_costs(found: Sequence[Standing], timed: bool) -> dict[str, list[float]]:
    """Return the relative cost (1 / speed-up) on each pair, by digest.

    Only methods with a score on every pair are included. The baseline competes too, under "".
    """
    measure = "seconds" if timed else "steps"
    complete = [one for one in found if one.is_complete]
    costs = {one.sha256: list(map(statistics.median, one.costs(measure))) for one in complete}
    return {"": [1.0] * len(complete[0].pairs), **costs} if complete else {}


def _baseline_row(group: Sequence[Result]) -> list[str]:
    runs = [runs_of(group, pair, "baseline") for pair in pair_names(group)]
    solved = sum(2 * sum(run.reached for run in some) > len(some) for some in runs)
    return [baseline_name(group), "1", "", "", f"{solved} of {len(runs)}", ""]


def _baseline_cells(group: Sequence[Result], measures: Sequence[str]) -> list[str]:
    return [
        _baseline_cell(runs_of(group, pair, "baseline"), measures) for pair in pair_names(group)
    ]


def _baseline_cell(runs: list[Result], measures: Sequence[str]) -> str:
    reached = [run for run in runs if run.reached]
    if not reached:
        return ", ".join(sorted({run.outcome for run in runs})) or NONE
    taken = {
        "seconds": f"{three_digits(statistics.median(map(seconds, reached)))} s",
        "steps": f"{statistics.median(map(steps, reached)):,.0f} steps",
    }
    return " / ".join(taken[measure] for measure in measures) + _counted(len(reached), len(runs))


def _row(one: Standing, measures: Sequence[str], profile: float | None) -> list[str]:
    cells = [NONE] * 3
    if one.is_complete:
        cells = [
            " / ".join(f"{mean_speed_up(one.costs(m)):.2f}" for m in measures),
            interval_cell(bootstrap_interval(one.costs(measures[0]))),
            " / ".join(f"{mean_speed_up(one.costs(f'{m}_at_limit')):.2f}" for m in measures),
        ]
    solved = sum(pair is not None and pair.solved for pair in one.pairs.values())
    area_cell = NONE if profile is None else f"{profile:.2f}"
    return [one.name, *cells, f"{solved} of {len(one.pairs)}", area_cell]


def interval_cell(ends: tuple[float, float] | None) -> str:
    """Return an interval as text; `NONE` without one."""
    return f"{ends[0]:.2f} to {ends[1]:.2f}" if ends else NONE


def _pair_cell(score: PairScore | None, measures: Sequence[str]) -> str:
    """Return the speed-up (the outcomes if the median run missed), and how many runs succeeded."""
    if score is None:
        return NONE
    counted = _counted(score.outcomes["reached"], score.outcomes.total())
    if score.solved:
        return " / ".join(f"{speed_up(getattr(score, m)):.2f}" for m in measures) + counted
    return ", ".join(sorted(set(score.outcomes) - {"reached"})) + counted


def _counted(reached: int, total: int) -> str:
    """Return how many runs reached the target; empty if all or none did."""
    return f" ({reached}/{total})" if 0 < reached < total else ""


def repeats(found: Sequence[Standing]) -> str:
    """Return the number of repeats per pair, and the methods that have fewer."""
    counts = {
        one.name: [len(score.steps) for score in one.pairs.values() if score is not None] or [0]
        for one in found
    }
    ranges = {name: (max(some), min(some)) for name, some in counts.items()}
    most = max(ranges.values(), default=(0, 0))

    def text(one: tuple[int, int]) -> str:
        return f"{one[1]} to {one[0]}" if one[1] < one[0] else f"{one[0]}"

    fewer = [f"{name} {text(one)}" for name, one in ranges.items() if one < most]
    return text(most) + (f" ({', '.join(fewer)})" if fewer else "")


def _caption(group: Sequence[Result], found: Sequence[Standing]) -> str:
    newest, measures = group[-1], _measures(group)
    hardware = newest.hardware
    has_repeats = any(result.repeat for result in group)
    counted = "; (1/2): runs that reached the target" if has_repeats else ""
    device = hardware["gpu"] or f"{hardware['cpu']}, {hardware['cores']} cores"
    return (
        f"Speed-up over the baseline in {_words(measures)}, median of n = {repeats(found)}; "
        "score: harmonic mean over the pairs, 0 if one is missed; interval: of the score in "
        f"{WORDS[measures[0]]}; profile: area under the performance profile{counted}. "
        f"{device}, {hardware['threads']} torch thread(s), Python {_versions(group, 'python')}, "
        f"torch {_versions(group, 'torch')}, {_when(group)}{_commits(group)}."
    )


def _versions(group: Sequence[Result], package: str) -> str:
    """Return the package's versions in the runs, oldest first."""
    return " and ".join(dict.fromkeys(one.versions[package] for one in group))


def _when(group: Sequence[Result]) -> str:
    days = [one.started_at[:10] for one in group]
    first, last = min(days), max(days)
    return last if first == last else f"{first} to {last}"


def _commits(group: Sequence[Result]) -> str:
    """Return the commits of the runs, oldest first."""
    found = {short_commit(one.git, 7): None for one in group if one.git["commit"]}
    return f", commit{'s' * (len(found) > 1)} {', '.join(found)}" if found else ""
