"""Tables of scores: one content, shown in the terminal or written as Markdown into a document."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from evaluate.errors import InputError
from evaluate.files import write_text
from evaluate.profile import area, ratios
from evaluate.results import Result
from evaluate.score import PairScore, bootstrap_interval, mean_speed_up, seconds, speed_up, steps
from evaluate.standing import (
    Standing,
    comparable,
    entered,
    labels,
    pair_names,
    runs_of,
    standings,
)
from evaluate.versus import Versus, against_each

#: No value: a pair was not run, or its baseline missed.
NONE = "-"


@dataclass(frozen=True)
class Content:
    """A table: title, caption, header, and rows of its length, the baseline's first."""

    title: str
    caption: str
    header: list[str]
    rows: list[list[str]]


def contents(results: Sequence[Result]) -> list[Content]:
    """One table for each suite and hardware in the results (oldest first), which never mix."""
    return [content(group) for group in comparable(results)]


def comparisons(results: Sequence[Result], names: Sequence[str] | None = None) -> list[Content]:
    """The tables of the methods of these names, of each entered file if None, against all others.

    Raises InputError if no method has one of the names.
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


def rich_table(content: Content) -> Table:
    """The table for the terminal."""
    table = Table(title=content.title, caption=content.caption)
    for column, name in enumerate(content.header):
        is_name = column == 0
        table.add_column(name, justify="left" if is_name else "right", no_wrap=is_name)
    for row in content.rows:
        table.add_row(*row)
    return table


def markdown(content: Content) -> str:
    """The table in Markdown, with its caption below."""
    rows = [[cell.replace("|", "\\|") for cell in row] for row in [content.header, *content.rows]]
    ruler = [":---"] + ["---:"] * (len(content.header) - 1)
    lines = ["| " + " | ".join(row) + " |" for row in [rows[0], ruler, *rows[1:]]]
    return "\n".join([f"**{content.title}**", "", *lines, "", content.caption])


def update_document(document: Path, name: str, text: str) -> None:
    """Put text between the document's markers of this name, atomically.

    Raises InputError if the markers are missing.
    """
    write_text(document, _with_block(document, name, text))


def is_stale(document: Path, name: str, text: str) -> bool:
    """Whether the document holds anything else than text between its markers of this name."""
    return _with_block(document, name, text) != document.read_text(encoding="utf-8")


def _with_block(document: Path, name: str, text: str) -> str:
    begin, end = f"<!-- results: {name} -->", "<!-- /results -->"
    block = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    try:
        old = document.read_text(encoding="utf-8")
    except OSError as problem:
        raise InputError(f"{document}: {problem.strerror}; name a Markdown file") from None
    new, count = block.subn(lambda _: f"{begin}\n{text}\n{end}", old)
    if count != 1:
        raise InputError(
            f"{document}: has {count} blocks for these results; "
            f"put the lines '{begin}' and '{end}' once where the table belongs"
        )
    return new


def content(group: Sequence[Result]) -> Content:
    """The table of results that may be compared."""
    pairs, timed = pair_names(group), group[0].timed
    found = standings(group)
    areas = profile_areas(found, timed)
    place = group[0].hardware["gpu"] or group[0].hardware["cpu"]
    return Content(
        title=f"Suite {group[0].suite} " + (f"on {place}" if timed else "in steps, not timed"),
        caption=_caption(group),
        header=[
            "Method", "Score", "95 % interval", "Misses at the limit", "Solved", "Profile", *pairs
        ],
        rows=[
            _baseline_row(group, pairs, timed),
            *(_row(one, timed, areas.get(one.sha256)) for one in found),
        ],
    )  # fmt: skip


def comparison(group: Sequence[Result], ours: str) -> Content:
    """The table of a method (by digest) against each other: the closest rival first."""
    timed, name = group[0].timed, labels(group)[ours]
    measures = ("seconds", "steps") if timed else ("steps",)
    baseline, *rivals = against_each(group, ours)

    def rank(one: Versus) -> tuple:
        return (not one.is_complete, one.is_complete and _mean(one, measures[0]))

    place = group[0].hardware["gpu"] or group[0].hardware["cpu"]
    return Content(
        title=f"{name} against each other method: suite {group[0].suite} "
        + (f"on {place}" if timed else "in steps, not timed"),
        caption=f"How many times what {name} takes each other method takes, in "
        f"{'time / in steps' if timed else 'steps'}, of the same repeat; first the harmonic mean "
        "over the pairs, with its bootstrap interval in "
        f"{measures[0] if timed else 'steps'}; a method that missed is charged its limit (>=).",
        header=["Other method", f"Times {name}", "95 % interval", *pair_names(group)],
        rows=[_versus_row(one, measures) for one in (baseline, *sorted(rivals, key=rank))],
    )


def _mean(one: Versus, measure: str) -> float:
    return mean_speed_up(list(one.costs[measure].values()))


def _versus_row(one: Versus, measures: tuple[str, ...]) -> list[str]:
    bound = ">= " if one.is_bound else ""
    cells = [NONE, NONE]
    if one.is_complete:
        ends = bootstrap_interval(list(one.costs[measures[0]].values()))
        cells = [
            bound + " / ".join(f"{_mean(one, measure):.2f}" for measure in measures),
            f"{ends[0]:.2f} to {ends[1]:.2f}" if ends else NONE,
        ]
    pairs = zip(*(one.costs[measure].values() for measure in measures), strict=True)
    each = [
        " / ".join(f"{speed_up(costs):.2f}" for costs in pair) if pair[0] else NONE
        for pair in pairs
    ]
    return [one.rival, *cells, *each]


def profile_costs(found: Sequence[Standing], timed: bool) -> dict[str, list[float]]:
    """Relative cost on each pair (1 / speed-up) by digest, of the methods that ran on all."""
    measure = "seconds" if timed else "steps"
    return {
        one.sha256: [statistics.median(pair) for pair in one.costs(measure)]
        for one in found
        if one.is_complete
    }


def profile_areas(found: Sequence[Standing], timed: bool) -> dict[str, float]:
    """Area under each complete method's performance profile, by digest; the baseline competes."""
    costs = profile_costs(found, timed)
    if not costs:
        return {}
    baseline = [1.0] * len(next(iter(costs.values())))
    every = ratios({"": baseline, **costs})
    return {sha256: area(row) for sha256, row in every.items()}


def _baseline_row(group: Sequence[Result], pairs: list[str], timed: bool) -> list[str]:
    runs = {pair: runs_of(group, pair, "baseline") for pair in pairs}
    solved = sum(any(run.reached for run in some) for some in runs.values())
    name = next((r.submission for r in group if r.role == "baseline"), "no baseline")
    cells = [_baseline_cell(some, timed) for some in runs.values()]
    return [f"{name} (baseline)", "1", "", "", f"{solved} of {len(pairs)}", "", *cells]


def _baseline_cell(runs: list[Result], timed: bool) -> str:
    reached = [run for run in runs if run.reached]
    if not reached:
        return ", ".join(sorted({run.outcome for run in runs})) or NONE
    taken = f"{statistics.median(map(steps, reached)):,.0f} steps"
    return f"{statistics.median(map(seconds, reached)):.3g} s / {taken}" if timed else taken


def _row(one: Standing, timed: bool, profile: float | None) -> list[str]:
    measures = ("seconds", "steps") if timed else ("steps",)
    cells = [NONE] * 3
    if one.is_complete:
        ends = bootstrap_interval(one.costs(measures[0]))
        cells = [
            " / ".join(f"{mean_speed_up(one.costs(m)):.2f}" for m in measures),
            f"{ends[0]:.2f} to {ends[1]:.2f}" if ends else NONE,
            " / ".join(f"{mean_speed_up(one.costs(f'{m}_at_limit')):.2f}" for m in measures),
        ]
    solved = sum(pair is not None and pair.solved for pair in one.pairs.values())
    area_cell = NONE if profile is None else f"{profile:.2f}"
    scores = [_pair_cell(pair, measures) for pair in one.pairs.values()]
    return [one.name, *cells, f"{solved} of {len(one.pairs)}", area_cell, *scores]


def _pair_cell(score: PairScore | None, measures: tuple[str, ...]) -> str:
    if score is None:
        return NONE
    found = " / ".join(f"{speed_up(getattr(score, measure)):.2f}" for measure in measures)
    total = score.outcomes.total()
    if set(score.outcomes) == {"reached"}:
        return found
    counted = ", ".join(
        outcome if total == 1 else f"{count}/{total} {outcome}"
        for outcome, count in sorted(score.outcomes.items())
    )
    return f"{found} {counted}" if score.solved else counted


def _caption(group: Sequence[Result]) -> str:
    newest, timed = group[-1], group[0].timed
    hardware, versions = newest.hardware, newest.versions
    repeats = len({result.repeat for result in group})
    dirty = " with changes" if newest.git["dirty"] else ""
    commit = f", commit {newest.git['commit'][:7]}{dirty}" if newest.git["commit"] else ""
    device = hardware["gpu"] or f"{hardware['cpu']}, {hardware['cores']} cores"
    measure = "time / in steps" if timed else "steps"
    return (
        f"Speed-up over the baseline in {measure}, median of n = {repeats}; score: harmonic mean "
        "over the pairs, 0 if one is missed; interval: of the score in "
        f"{'time' if timed else 'steps'}; profile: area under the performance profile. "
        f"{device}, {hardware['threads']} torch thread(s), Python {versions['python']}, "
        f"torch {versions['torch']}, {newest.started_at[:10]}{commit}."
    )
