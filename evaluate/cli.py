"""The command line: evaluate submissions, or turn results into a Markdown table."""

import contextlib
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from evaluate import provenance, results
from evaluate.errors import InputError
from evaluate.files import write_text
from evaluate.outcomes import FAILURES
from evaluate.pairs import check, load_suite
from evaluate.peers import MEND, find_peers
from evaluate.plots import write_plots
from evaluate.results import Result
from evaluate.runner import Setting, Slot, run_all, schedule, unfinished
from evaluate.submission import baseline, find_submissions
from evaluate.table import contents, is_stale, markdown, rich_table, update_document
from tasks import build_task


@dataclass(frozen=True)
class Evaluate:
    """Run train.py files and the baseline (Adam, learning rate 1e-3) on the pairs of a suite.

    Every run has a process and a clock of its own, and what it claims is tested afresh. Prints the
    speed-ups over the baseline; writes results, the table and plots into --out. Run it again with
    the same --out to resume: finished runs are not repeated, failed ones are.

    To print the Markdown table of a results folder, or to keep it up to date in a document:
    python -m evaluate table --help
    """

    out: Path
    """Folder for results, which is only added to."""

    submissions: tyro.conf.Positional[tuple[Path, ...]] = ()
    """train.py files; each defines train(task)."""

    peers: tuple[str, ...] = ()
    """Peers to run after the baseline: their names, or all."""

    suite: str = "demo"
    """Name of the suite of (architecture, data set) pairs; see python -m tasks."""

    repeats: int = 1
    """Runs of each submission and the baseline on each pair, with different initial weights."""

    limit: float | None = None
    """Seconds a run may take. Default: max(60 s, 5 x the baseline's time on the pair)."""

    threads: int = 1
    """PyTorch threads of each run."""

    device: str = "cpu"
    """PyTorch device of each run: cpu or cuda."""


@dataclass(frozen=True)
class Table:
    """Print the Markdown table of a results folder, or keep it up to date in a document.

    In the document the table stands between the lines '<!-- results: NAME -->' and
    '<!-- /results -->', where NAME is the name of the results folder.
    """

    results: tyro.conf.Positional[Path]
    """Folder that python -m evaluate --out wrote."""

    document: Path | None = None
    """Markdown file whose table to update, in place of printing it."""

    check: bool = False
    """Change nothing; exit with code 1 if the document's table is out of date."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code: 0, 1 for failed runs or checks, 2 for bad input."""
    try:
        if arguments[:1] == ["table"]:
            return table(_parse(Table, "python -m evaluate table", arguments[1:]))
        return evaluate(_parse(Evaluate, "python -m evaluate", arguments))
    except InputError as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted; run the same command to resume", file=sys.stderr)
        return 130


def evaluate(options: Evaluate) -> int:
    """Run what has no final result yet, then print and write table and plots."""
    slots, setting, known = _plan(options)
    pending = unfinished(slots, setting, known)

    def build(variant):
        return build_task(variant, device=options.device)

    for pair in dict.fromkeys(slot.pair for slot in pending):
        check(pair, build)
    options.out.mkdir(parents=True, exist_ok=True)
    with _progress(len(slots), len(slots) - len(pending)) as (announce, done):
        for result in run_all(pending, setting, known, build, announce):
            done(result)
    wanted = {slot.key(setting.hardware) for slot in slots}
    found = [result for result in results.load_all(options.out) if result.key in wanted]
    _present(options.out, found)
    return _exit_code(results.latest(found).values())


def table(options: Table) -> int:
    """Print the table of a folder, or update or check it in a document."""
    found = results.load_all(options.results)
    if not found:
        raise InputError(f"{options.results}: holds no results; run python -m evaluate --out there")
    if options.check and options.document is None:
        raise InputError("--check: needs the document to check; add --document README.md")
    text = _markdown(found)
    name = options.results.resolve().name
    if options.document is None:
        print(text)
    elif not options.check:
        update_document(options.document, name, text)
    elif is_stale(options.document, name, text):
        mend = shlex.join(["python", "-m", "evaluate", "table", str(options.results)])
        mend += f" --document {shlex.quote(str(options.document))}"
        print(f"error: {options.document}: table {name} is stale; run {mend}", file=sys.stderr)
        return 1
    return 0


def _parse(kind: type, program: str, arguments: Sequence[str]):
    config = (tyro.conf.FlagCreatePairsOff,)
    return tyro.cli(kind, prog=program, args=list(arguments), config=config)


def _plan(options: Evaluate) -> tuple[list[Slot], Setting, dict[tuple, Result]]:
    """Check the options; returns the schedule, the setting and the results known so far."""
    if not options.submissions and not options.peers:
        raise InputError("no submission given; name one or more train.py files, or --peers all")
    for name, value in (("repeats", options.repeats), ("threads", options.threads)):
        if value < 1:
            raise InputError(f"--{name} {value}: must be at least 1")
    if options.limit is not None and not options.limit > 0:
        raise InputError(f"--limit {options.limit}: must be a positive number of seconds")
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"--out {options.out}: is not a folder; name a new or a results folder")
    _use_device(options.device, options.threads)
    peers, missing = find_peers(options.peers)
    if missing:
        print(f"note: left out {', '.join(missing)}, not installed; {MEND}", file=sys.stderr)
    submissions = find_submissions([*peers, *options.submissions])
    slots = schedule(load_suite(options.suite), baseline(), submissions, options.repeats)
    setting = Setting(
        folder=options.out,
        device=options.device,
        threads=options.threads,
        limit_seconds=options.limit,
        command=("python", "-m", "evaluate", *sys.argv[1:]),
        hardware=provenance.hardware(options.device, options.threads),
        versions=provenance.versions(),
        git=provenance.git(),
    )
    return slots, setting, results.latest(results.load_all(options.out))


def _use_device(device: str, threads: int) -> None:
    # Verification tests in this process: with as many threads as the run, for equal sums.
    torch.set_num_threads(threads)
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as problem:
        reason = str(problem).splitlines()[0]
        raise InputError(f"--device {device}: {reason}; use cpu or a device that exists") from None


def _present(folder: Path, found: Sequence[Result]) -> None:
    console = Console()
    for content in contents(found):
        console.print(rich_table(content))
    for result in results.latest(found).values():
        if result.message:
            console.print(
                f"{result.submission} on {result.pair}, repeat {result.repeat}: "
                f"{result.outcome}: {result.message}",
                markup=False,
                highlight=False,
            )
    write_text(folder / "table.md", _markdown(found) + "\n")
    paths = [folder / "table.md", *write_plots(folder, found)]
    console.print("wrote " + ", ".join(map(str, paths)), markup=False, highlight=False)


def _markdown(found: Sequence[Result]) -> str:
    return "\n\n".join(map(markdown, contents(found)))


def _exit_code(latest: Sequence[Result]) -> int:
    failed = [result for result in latest if result.outcome in FAILURES]
    if not failed:
        return 0
    first = failed[0]
    print(
        f"error: {len(failed)} run(s) failed, the first: {first.submission} on {first.pair}: "
        f"{first.message}; mend it and run the same command again",
        file=sys.stderr,
    )
    return 1


@contextlib.contextmanager
def _progress(total: int, finished: int) -> Iterator[tuple[Callable, Callable]]:
    """A bar on stderr; yields what to call before a run and after it."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    # Twice a second: the display must not compete with the run for a core.
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=2) as progress:
        bar = progress.add_task("evaluate", total=total, completed=finished)

        def announce(slot: Slot, limit_seconds: float) -> None:
            progress.update(bar, description=f"{_title(slot)} (limit {limit_seconds:.0f} s)")

        def done(result: Result) -> None:
            progress.console.print(
                f"{result.pair}: {result.submission}, repeat {result.repeat}: {result.outcome}, "
                f"{result.seconds:.2f} s, {result.steps} steps",
                markup=False,
                highlight=False,
            )
            progress.advance(bar)

        yield announce, done


def _title(slot: Slot) -> str:
    return f"{slot.pair.name} · {slot.submission.name} · repeat {slot.repeat}"
