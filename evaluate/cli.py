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
from evaluate.run.submissions import baseline, find_submissions
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
from evaluate.text import LONGEST, clean
from tasks import build_task
from tasks.device import why_unusable
from tasks.locks import locked
from writing.files import write_text

#: GiB. PyTorch itself takes about a quarter of this.
LEAST_MEMORY = 1.0
#: Per run. A submission's process may have a few more (evaluate.sandbox.confine.MOST_TASKS).
MOST_THREADS = 256
#: Printed at the start if submissions can't be isolated.
UNWALLED = (
    "this system permits no user namespaces, so submissions are isolated less (docs/sandbox.md); "
    "permit them, or run none that you have not read"
)
#: Line width in characters if the output goes to a file or a pipe.
PLAIN_WIDTH = 160


@dataclass(frozen=True)
class Evaluate:
    """Run train.py files and the baseline (Adam, learning rate 1e-3) on the pairs of a suite.

    Every run has its own process and its own clock, and its claim is verified by a fresh test.
    Prints the speed-ups over the baseline; writes results, the table and plots into --out. Run the
    command again with the same --out to resume: failed runs are repeated, finished ones are not.

    python -m evaluate table --help: print the Markdown table, or update it in a document
    python -m evaluate report --help: write table, plots and page again
    python -m evaluate pack --help: put the results into one file, for version control
    """

    out: Path
    """Folder for results. Files are only ever added to it."""

    submissions: tyro.conf.Positional[tuple[Path, ...]] = ()
    """train.py files; each defines train(task)."""

    peers: tuple[str, ...] = ()
    """Peers to run after the baseline: names such as soap_averaged, or all. See docs/evaluate.md
    for the list."""

    suite: str = "demo"
    """Suite of (architecture, data set) pairs; python -m tasks list shows them all."""

    repeats: int = 1
    """Runs of each submission and the baseline on each pair, with different initial weights."""

    first_repeat: int = 0
    """Number of the first repeat. With 3, initial weights differ from those of repeats 0 to 2."""

    limit: float | None = None
    """Seconds a run may take. Default: max(60 s, 5 x the baseline's time on the pair), at most one
    hour; the baseline's first run gets one hour."""

    threads: int = 1
    """PyTorch threads of each run."""

    device: str = "cpu"
    """PyTorch device of each run: cpu or cuda."""

    memory: float = MEMORY_BYTES / 2**30
    """GiB of memory that a submission's processes may use together (on the CPU)."""

    steps_only: bool = False
    """Compare steps only, not time. Runs may then share the machine: see --jobs."""

    jobs: int = 1
    """Runs in parallel; more than one needs --steps-only."""


@dataclass(frozen=True)
class Table:
    """Print the Markdown table of a results folder, or keep it up to date in a document.

    The document holds the table between the lines '<!-- NAME: begin -->' and
    '<!-- NAME: end -->'. NAME is the name of the folder, or of the file without '.jsonl'. With
    --against, it is followed by 'against METHOD'.
    """

    results: tyro.conf.Positional[Path]
    """Folder that python -m evaluate --out wrote, or file that python -m evaluate pack did."""

    against: str | None = None
    """Show how many times longer than this method each other one takes, instead of the scores."""

    document: Path | None = None
    """Markdown file in which to update the table, instead of printing it."""

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
    """Write the results of a folder into one small file, for version control.

    The file has one line per run with all its fields; curves are thinned.
    """

    results: tyro.conf.Positional[Path]
    """Folder that python -m evaluate --out wrote."""

    file: tyro.conf.Positional[Path]
    """File to write, NAME.jsonl; see python -m evaluate table."""


def main(arguments: Sequence[str]) -> int:
    """Run the command. Return the exit code: 0, 1 for failed runs or checks, 2 for bad input."""
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
    """Run all slots without a final result, then print and write the table and plots."""
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
        return 0  # for any other code, torchrun would kill the other processes
    _present(options.out, found)
    return code


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Lock the folder against other evaluations, which would repeat the runs and disturb the clock.

    Processes of one launcher each lock their own share.
    """
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
    """Run all slots without a final result. Return the results of all slots."""
    known = _known(options)
    pending = unfinished(slots, setting, known)
    tempfile.TemporaryFile(dir=options.out).close()  # fail now, not after the first run
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
    """Print and write the same summary as at the end of an evaluation."""
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


#: Subcommands. Without one, the command is an evaluation.
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
    """Check the options. Return the schedule and the setting."""
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
    # Verification runs in this process: it needs the run's number of threads for equal sums.
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
