"""The command line: evaluate submissions, or turn results into a Markdown table."""

import contextlib
import math
import shlex
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console

from evaluate import provenance
from evaluate.errors import InputError
from evaluate.outcomes import FAILURES
from evaluate.pairs import check, load_suite
from evaluate.peers import find_peers, lacks
from evaluate.run.runner import Runs
from evaluate.run.sharding import own_device, own_share, rank, world_size
from evaluate.sandbox.limits import MEMORY_BYTES
from evaluate.sandbox.namespaces import namespaces_work
from evaluate.score import results
from evaluate.score.estimate import Forecast
from evaluate.score.results import Result
from evaluate.score.schedule import Setting, Slot, schedule, unfinished
from evaluate.show.board import comparisons, contents
from evaluate.show.page import write_page
from evaluate.show.plots import write_plots
from evaluate.show.progress import progress
from evaluate.show.table import Content, is_stale, markdown, rich_table, update_document
from evaluate.submission import baseline, find_submissions
from evaluate.text import LONGEST, clean
from tasks import build_task
from tasks.device import why_unusable
from tasks.locks import locked
from writing.files import write_text

#: GiB; PyTorch itself takes about a quarter of it.
LEAST_MEMORY = 1.0
#: Of a run; a submission's process may have few more (evaluate.sandbox.confine.MOST_TASKS).
MOST_THREADS = 256
#: Said at the start, where it is so.
UNWALLED = (
    "this system permits no user namespaces, so submissions can read and write files; permit them, "
    "or run none that you have not read"
)
#: Characters of a line where a file or a pipe is written to.
PLAIN_WIDTH = 160


@dataclass(frozen=True)
class Evaluate:
    """Run train.py files and the baseline (Adam, learning rate 1e-3) on the pairs of a suite.

    Every run has a process and a clock of its own, and what it claims is tested afresh. Prints the
    speed-ups over the baseline; writes results, the table and plots into --out. Run it again with
    the same --out to resume: finished runs are not repeated, failed ones are.

    python -m evaluate table --help: the Markdown table of results, also inside a document
    python -m evaluate report --help: table, plots and page of results once more
    python -m evaluate pack --help: results in one file, for version control
    """

    out: Path
    """Folder for results, which is only added to."""

    submissions: tyro.conf.Positional[tuple[Path, ...]] = ()
    """train.py files; each defines train(task)."""

    peers: tuple[str, ...] = ()
    """Peers to run after the baseline, such as soap_averaged: their names, or all. docs/evaluate.md
    lists them."""

    suite: str = "demo"
    """Name of the suite of (architecture, data set) pairs; see python -m tasks list."""

    repeats: int = 1
    """Runs of each submission and the baseline on each pair, with different initial weights."""

    first_repeat: int = 0
    """Number of the first one: with 3, initial weights that three repeats from 0 on do not have."""

    limit: float | None = None
    """Seconds a run may take. Default: max(60 s, 5 x the baseline's time on the pair), at most an
    hour, which the baseline's first run has."""

    threads: int = 1
    """PyTorch threads of each run."""

    device: str = "cpu"
    """PyTorch device of each run: cpu or cuda."""

    memory: float = MEMORY_BYTES / 2**30
    """GiB of memory that a submission's processes may take together (on the CPU)."""

    steps_only: bool = False
    """Count steps and claim no time, so that runs may disturb each other: see --jobs."""

    jobs: int = 1
    """Runs at a time; more than one needs --steps-only."""


@dataclass(frozen=True)
class Table:
    """Print the Markdown table of a results folder, or keep it up to date in a document.

    In the document the table stands between the lines '<!-- NAME: begin -->' and
    '<!-- NAME: end -->', where NAME is the name of the folder, or of the file without '.jsonl',
    followed by 'against METHOD' with --against.
    """

    results: tyro.conf.Positional[Path]
    """Folder that python -m evaluate --out wrote, or file that python -m evaluate pack did."""

    against: str | None = None
    """In place of the scores: how many times longer than this method takes each other one takes."""

    document: Path | None = None
    """Markdown file whose table to update, in place of printing it."""

    check: bool = False
    """Change nothing; exit with code 1 if the document's table is out of date."""


@dataclass(frozen=True)
class Report:
    """Write the table, the plots and one HTML page of results again, without running anything."""

    results: tyro.conf.Positional[Path]
    """Folder that python -m evaluate --out wrote, or file that python -m evaluate pack did."""

    out: Path
    """Folder to write into."""


@dataclass(frozen=True)
class Pack:
    """Write the results of a folder into one small file, to be kept under version control.

    A line for each run, with all its facts; curves are cut down to a sketch.
    """

    results: tyro.conf.Positional[Path]
    """Folder that python -m evaluate --out wrote."""

    file: tyro.conf.Positional[Path]
    """File to write, NAME.jsonl; see python -m evaluate table."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit code: 0, 1 for failed runs or checks, 2 for bad input."""
    try:
        if arguments[:1] and arguments[0] in VERBS:
            kind, run = VERBS[arguments[0]]
            return run(_parse(kind, f"python -m evaluate {arguments[0]}", arguments[1:]))
        return evaluate(_parse(Evaluate, "python -m evaluate", arguments), arguments)
    except InputError as problem:
        _complain(str(problem))
        return 2
    except OSError as problem:
        _complain(f"{problem}; make room, or name another place")
        return 2
    except KeyboardInterrupt:
        print("error: interrupted; run the same command to resume", file=sys.stderr)
        return 130


def _complain(problem: str) -> None:
    print(f"error: {clean(problem, 20 * LONGEST)}", file=sys.stderr)


def evaluate(options: Evaluate, arguments: Sequence[str]) -> int:
    """Run what has no final result yet, then print and write table and plots."""
    options = replace(options, device=own_device(options.device))
    slots, setting = _plan(options, arguments)
    build = partial(build_task, device=options.device)
    for pair in dict.fromkeys(slot.pair for slot in unfinished(slots, setting, _known(options))):
        check(pair, build)
    torch.cuda.empty_cache()  # workers need the memory
    if torch.device(options.device).type == "cpu" and not namespaces_work():
        print(f"note: {UNWALLED}", file=sys.stderr)
    options.out.mkdir(parents=True, exist_ok=True)
    with _alone_in(options.out):
        found = _run_all(options, slots, setting, build)
    code = _exit_code(results.latest(found).values())
    if world_size() > 1:
        return 0  # at any other code torchrun ends the runs of all other processes
    _present(options.out, found)
    return code


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder: two evaluations would run everything twice, on each other's clock. Of those
    of one launcher each holds its share."""
    share = f".{rank()}" if world_size() > 1 else ""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / f".lock{share}", patience=0))
        except BlockingIOError:
            raise InputError(
                f"--out {folder}: another evaluation writes there; let it end, or name another"
            ) from None
        yield


def _known(options: Evaluate) -> dict[tuple, Result]:
    return results.latest(results.load_all(options.out))


def _run_all(
    options: Evaluate, slots: Sequence[Slot], setting: Setting, build: Callable
) -> list[Result]:
    """Run what has no final result yet; returns all results of these slots."""
    known = _known(options)
    pending = unfinished(slots, setting, known)
    tempfile.TemporaryFile(dir=options.out).close()  # rather now than after the first run
    forecast = Forecast(pending, setting, known, options.jobs)
    with progress(len(slots), len(slots) - len(pending), forecast) as (announce, done):
        runs = Runs(setting, known, build, announce).run_all(pending, options.jobs)
        with contextlib.closing(runs):
            for result in runs:
                done(result)
    wanted = {slot.key(setting.place) for slot in slots}
    return [result for result in results.load_all(options.out) if result.key in wanted]


def table(options: Table) -> int:
    """Print the table of a folder, or update or check it in a document."""
    found = _load(options.results)
    if options.check and options.document is None:
        raise InputError("--check: needs the document to check; add --document README.md")
    name = options.results.resolve().name.removesuffix(".jsonl")
    if options.against is None:
        text = _markdown(contents(found))
    else:
        text = _markdown(comparisons(found, [options.against]))
        name += f" against {options.against}"
    if options.document is None:
        print(text)
    elif not options.check:
        update_document(options.document, name, text)
    elif is_stale(options.document, name, text):
        against = [] if options.against is None else ["--against", options.against]
        mend = shlex.join(["python", "-m", "evaluate", "table", str(options.results), *against])
        mend += f" --document {shlex.quote(str(options.document))}"
        print(f"error: {options.document}: table {name} is stale; run {mend}", file=sys.stderr)
        return 1
    return 0


def report(options: Report) -> int:
    """Print and write what an evaluation prints and writes at its end."""
    found = _load(options.results)
    options.out.mkdir(parents=True, exist_ok=True)
    _present(options.out, found)
    return 0


def pack(options: Pack) -> int:
    """Pack a folder's results into a file."""
    if options.file.suffix != ".jsonl" or not options.file.parent.is_dir():
        raise InputError(f"{options.file}: name a file NAME.jsonl in a folder that exists")
    results.pack(results.latest(_load(options.results)).values(), options.file)
    print(f"wrote {options.file}")
    return 0


#: What stands first on the command line, where it is not an evaluation.
VERBS: dict[str, tuple] = {
    "table": (Table, table),
    "report": (Report, report),
    "pack": (Pack, pack),
}


def _load(path: Path) -> list[Result]:
    found = results.load_all(path)
    if not found:
        raise InputError(f"{path}: holds no results; run python -m evaluate --out there")
    return found


def _parse(kind: type, program: str, arguments: Sequence[str]) -> Any:
    config = (tyro.conf.FlagCreatePairsOff,)
    return tyro.cli(kind, prog=program, args=list(arguments), config=config)


def _plan(options: Evaluate, arguments: Sequence[str]) -> tuple[list[Slot], Setting]:
    """Check the options; returns the schedule and the setting."""
    if not options.submissions and not options.peers:
        raise InputError("no submission given; name one or more train.py files, or --peers all")
    for name in ("repeats", "threads", "jobs"):
        if (value := getattr(options, name)) < 1:
            raise InputError(f"--{name} {value}: must be at least 1")
    if options.threads > MOST_THREADS:
        raise InputError(f"--threads {options.threads}: must be at most {MOST_THREADS}")
    if options.first_repeat < 0:
        raise InputError(f"--first-repeat {options.first_repeat}: must not be negative")
    if options.jobs > 1 and not options.steps_only:
        raise InputError(
            f"--jobs {options.jobs}: runs at the same time disturb the clock; add --steps-only"
        )
    if not LEAST_MEMORY <= options.memory < math.inf:
        raise InputError(f"--memory {options.memory}: must be at least {LEAST_MEMORY} (GiB)")
    if options.limit is not None and not 0 < options.limit < math.inf:
        raise InputError(f"--limit {options.limit}: must be a positive number of seconds")
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"--out {options.out}: is not a folder; name a new or a results folder")
    _use_device(options.device, options.threads)
    peers, missing = find_peers(options.peers)
    for mend in dict.fromkeys(lacks(name)[1] for name in missing):
        names = ", ".join(name for name in missing if lacks(name)[1] == mend)
        print(f"note: left out {names}, not installed; {mend}", file=sys.stderr)
    submissions = [*find_submissions(options.submissions), *peers]
    pairs = own_share(load_suite(options.suite), options.steps_only)
    slots = schedule(pairs, baseline(), submissions, options.repeats, options.first_repeat)
    setting = Setting(
        folder=options.out,
        device=options.device,
        threads=options.threads,
        limit_seconds=options.limit,
        first_repeat=options.first_repeat,
        command=provenance.portable_command(["python", "-m", "evaluate", *arguments]),
        hardware=provenance.hardware(options.device, options.threads),
        versions=provenance.versions(),
        git=provenance.git(),
        timed=not options.steps_only,
        memory_bytes=int(options.memory * 2**30),
    )
    return slots, setting


def _use_device(device: str, threads: int) -> None:
    # Verification tests in this process: with as many threads as the run, for equal sums.
    torch.set_num_threads(threads)
    if reason := why_unusable(device):
        raise InputError(f"--device {device}: {reason}; use cpu or a device that exists")


def _present(folder: Path, found: Sequence[Result]) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    scores, against = contents(found), comparisons(found)
    for content in scores:
        for part in (content, *content.details):
            console.print(rich_table(part))
    for content in against:
        console.print(rich_table(content))
    for result in results.latest(found).values():
        if result.message:
            console.print(
                f"{result.submission} on {result.pair}, repeat {result.repeat}: "
                f"{result.outcome}: {result.message}",
                markup=False,
                highlight=False,
            )
    write_text(folder / "table.md", _markdown([*scores, *against]) + "\n")
    paths = [folder / "table.md", write_page(folder, found), *write_plots(folder, found)]
    console.print("wrote " + ", ".join(map(str, paths)), markup=False, highlight=False)


def _markdown(tables: Sequence[Content]) -> str:
    return "\n\n".join(map(markdown, tables))


def _exit_code(latest: Iterable[Result]) -> int:
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
