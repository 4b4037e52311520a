"""Tables of scores: one content, shown in the terminal or written as Markdown into a document."""

import json
import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.table import Table

from evaluate.errors import InputError
from evaluate.files import write_text
from evaluate.results import Result, latest
from evaluate.score import (
    PairScore,
    bootstrap_interval,
    mean_speed_up,
    score_pair,
    seconds,
    speed_up,
    steps,
)

#: More submissions than this get a row each, and the pairs columns.
COLUMNS_AT_MOST = 4


@dataclass(frozen=True)
class Content:
    """A table: a caption, a header, and rows of the header's length; ``means`` go below a rule."""

    title: str
    caption: str
    header: list[str]
    pairs: list[list[str]]
    means: list[list[str]]


def contents(results: Sequence[Result]) -> list[Content]:
    """One table for each suite and hardware in the results (oldest first), which never mix."""
    return [_content(group) for group in comparable(results)]


def comparable(results: Sequence[Result]) -> list[list[Result]]:
    """Results split by suite and hardware; only the latest of each run, and of each variant."""
    groups: dict[tuple, list[Result]] = defaultdict(list)
    for result in latest(results).values():
        groups[result.suite, json.dumps(result.hardware, sort_keys=True)].append(result)
    return [_current(group) for group in groups.values()]


def labels(results: Sequence[Result]) -> dict[str, str]:
    """What to call each submission (by digest): its name, with its digest if names collide."""
    names = {result.submission_sha256: result.submission for result in _submitted(results)}
    every = list(names.values())
    return {
        sha256: name if every.count(name) == 1 else f"{name} ({sha256[:7]})"
        for sha256, name in names.items()
    }


def rich_table(content: Content) -> Table:
    """The table for the terminal."""
    table = Table(title=content.title, caption=content.caption)
    for column, name in enumerate(content.header):
        table.add_column(name, justify="left" if column == 0 else "right", overflow="fold")
    for row in content.pairs:
        table.add_row(*row)
    table.add_section()
    for row in content.means:
        table.add_row(*row, style="bold")
    return table


def markdown(content: Content) -> str:
    """The table in Markdown, with its caption below."""
    rows = [
        [_escape(cell) for cell in row] for row in [content.header, *content.pairs, *content.means]
    ]
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


def _current(group: list[Result]) -> list[Result]:
    """Without the results of a pair's former variants, or of a former baseline."""
    variants = {result.pair: result.variant_digest for result in group}
    baselines = [result.submission_sha256 for result in group if result.role == "baseline"]
    return [
        result
        for result in group
        if result.variant_digest == variants[result.pair]
        and (result.role != "baseline" or result.submission_sha256 == baselines[-1])
    ]


def _submitted(results: Sequence[Result]) -> list[Result]:
    return [result for result in results if result.role == "submission"]


def _content(group: list[Result]) -> Content:
    pairs = list(dict.fromkeys(result.pair for result in group))
    names = labels(group)
    baselines = {pair: _runs(group, pair, "baseline") for pair in pairs}
    scores = {
        sha256: {
            pair: score_pair(baselines[pair], _runs(group, pair, "submission", sha256))
            for pair in pairs
        }
        for sha256 in names
    }
    hardware = group[0].hardware
    rows = [
        [pair, _baseline_cell(baselines[pair]), *(_pair_cell(scores[sha][pair]) for sha in names)]
        for pair in pairs
    ]
    content = Content(
        title=f"Suite {group[0].suite} on {hardware['gpu'] or hardware['cpu']}",
        caption=_caption(group),
        header=["Pair", "baseline (s / steps)", *names.values()],
        pairs=rows,
        means=_mean_rows(list(scores.values()), len(pairs)),
    )
    return content if len(names) <= COLUMNS_AT_MOST else _transposed(content)


def _transposed(content: Content) -> Content:
    """With a row for the baseline and each submission, a column for each pair and each mean."""
    rows = [content.header, *content.pairs, *content.means]
    header, *turned = map(list, zip(*rows, strict=True))
    return replace(content, header=["Submission", *header[1:]], pairs=turned, means=[])


def _runs(group: list[Result], pair: str, role: str, sha256: str | None = None) -> list[Result]:
    return [
        result
        for result in group
        if result.pair == pair
        and result.role == role
        and sha256 in (None, result.submission_sha256)
    ]


def _baseline_cell(runs: list[Result]) -> str:
    reached = [run for run in runs if run.reached]
    if not reached:
        return ", ".join(sorted({run.outcome for run in runs})) or "-"
    median_seconds = statistics.median(map(seconds, reached))
    return f"{median_seconds:.3g} / {statistics.median(map(steps, reached)):,.0f}"


def _pair_cell(score: PairScore | None) -> str:
    if score is None:
        return "-"
    ratios = f"{speed_up(score.seconds):.2f} / {speed_up(score.steps):.2f}"
    total = score.outcomes.total()
    if set(score.outcomes) == {"reached"}:
        return ratios
    counted = ", ".join(
        outcome if total == 1 else f"{count}/{total} {outcome}"
        for outcome, count in sorted(score.outcomes.items())
    )
    return f"{ratios} {counted}" if score.solved else counted


def _mean_rows(columns: list[dict[str, PairScore | None]], pairs: int) -> list[list[str]]:
    def row(name: str, cell: Callable[[list[PairScore]], str]) -> list[str]:
        return [name, "", *(_if_complete(list(column.values()), cell) for column in columns)]

    def strict(scores):
        return _both(mean_speed_up, [s.seconds for s in scores], [s.steps for s in scores])

    def at_limit(scores):
        return _both(
            mean_speed_up, [s.seconds_at_limit for s in scores], [s.steps_at_limit for s in scores]
        )

    def interval(scores):
        ends = bootstrap_interval([s.seconds for s in scores])
        return f"{ends[0]:.2f} to {ends[1]:.2f}" if ends else "-"

    def solved(scores):
        return f"{sum(s.solved for s in scores)} of {pairs}"

    rows = [
        row("harmonic mean (a miss is 0)", strict),
        row("harmonic mean (a miss at the limit)", at_limit),
        row("95 % interval of the first, in time", interval),
        row("solved", solved),
    ]
    return [cells for cells in rows if set(cells[2:]) != {"-"} or cells[0] == "solved"]


def _if_complete(scores: list, cell: Callable) -> str:
    """A mean over fewer pairs than the suite's would not be comparable, so there is none then."""
    return cell(scores) if scores and None not in scores else "-"


def _both(mean: Callable, in_seconds: list, in_steps: list) -> str:
    return f"{mean(in_seconds):.2f} / {mean(in_steps):.2f}"


def _caption(group: list[Result]) -> str:
    newest = group[-1]
    hardware, versions = newest.hardware, newest.versions
    repeats = len({result.repeat for result in group})
    dirty = " with changes" if newest.git["dirty"] else ""
    commit = f", commit {newest.git['commit'][:7]}{dirty}" if newest.git["commit"] else ""
    device = hardware["gpu"] or f"{hardware['cpu']}, {hardware['cores']} cores"
    return (
        f"Speed-up over {_baseline_name(group)} in time / in steps, median of n = {repeats}. "
        f"{device}, {hardware['threads']} torch thread(s), Python {versions['python']}, "
        f"torch {versions['torch']}, {newest.started_at[:10]}{commit}."
    )


def _baseline_name(group: list[Result]) -> str:
    return next((r.submission for r in group if r.role == "baseline"), "the baseline")


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|")
