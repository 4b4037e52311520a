"""The command line: export a policy or the optimizer, build or validate a submission's ZIP."""

import stat
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from checkpoints_to_source.archive import LARGEST_ZIP
from checkpoints_to_source.extra import ExtraError
from checkpoints_to_source.join import Joined
from checkpoints_to_source.modules import SourceError
from checkpoints_to_source.optimizer_file import optimizer_file
from checkpoints_to_source.report import ReportError
from checkpoints_to_source.submission import submission
from checkpoints_to_source.train_file import policy_free_train_file, train_file
from checkpoints_to_source.validation.fault import Fault
from checkpoints_to_source.validation.trial import TrialError
from checkpoints_to_source.validation.validate import all_faults
from policy.checkpoint import Policy, PolicyError, digest, load_policy
from writing.files import write_atomically


@dataclass(frozen=True)
class Export:
    """Write a policy as one self-contained train.py.

    python -m checkpoints_to_source optimizer --help: write the optimizer, as one module to install
    python -m checkpoints_to_source submission --help: build the submission's ZIP
    python -m checkpoints_to_source validate --help: check any submission's ZIP
    """

    checkpoint: tyro.conf.Positional[Path | None] = None
    """Policy file that python -m metalearn wrote."""

    out: Path = Path("train.py")
    """File to write or overwrite."""

    policy_free: bool = False
    """Write constant rates set by hand instead of a policy, with the same driver."""


@dataclass(frozen=True)
class Optimizer:
    """Write a policy as one self-contained module that defines the optimizer LearnedLR."""

    policy: Path = Path("checkpoints/policy.safetensors")
    """Policy file that python -m metalearn wrote."""

    out: Path = Path("learned_lr.py")
    """File to write or overwrite."""


@dataclass(frozen=True)
class Submission:
    """Build the submission: a ZIP of README.md, train.py and report.pdf.

    Equal input gives equal bytes. The report's numbers come from the results alone.
    """

    team: str
    """Name of the team."""

    member: Annotated[tuple[str, ...], tyro.conf.UseAppendAction]
    """Name of a member; repeat the option for each."""

    results: tuple[Path, ...]
    """Evaluations of this policy's train.py: folders of python -m evaluate --out, or files of pack.
    Each gives a table; the first gives the figures."""

    policy: Path = Path("checkpoints/policy.safetensors")
    """Policy file, with the log.jsonl of its meta-training in the same folder."""

    benchmarks: Path = Path("docs/results")
    """Folder with result files of python -m benchmarks. The report shows those of this policy."""

    out: Path = Path("submission.zip")
    """File to write."""


@dataclass(frozen=True)
class Validate:
    """Check a submission's ZIP, and print every fault with its fix.

    Exit code 0 for a valid ZIP, 1 for an invalid one, 2 if it cannot be checked. Needs the extra
    `submission`. Runs the ZIP's train.py in a sandbox on the two smallest sample pairs, for at most
    one minute each. Read a submission before you trust it.
    """

    file: tyro.conf.Positional[Path]
    """The ZIP."""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return the exit code: 0, 1 for an invalid ZIP, 2 for bad input."""
    verb = arguments[0] if arguments and arguments[0] in VERBS else ""
    kind, run = VERBS[verb]
    program = f"python -m checkpoints_to_source {verb}".strip()
    config = (tyro.conf.FlagCreatePairsOff,)
    options = tyro.cli(kind, prog=program, args=arguments[bool(verb) :], config=config)
    try:
        return run(options) or 0
    except (PolicyError, SourceError, ReportError, ExtraError, TrialError) as problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2


def export(options: Export) -> None:
    """Write train.py."""
    if options.policy_free == (options.checkpoint is not None):
        given = "both are given" if options.policy_free else "neither is given"
        raise PolicyError(f"name either a checkpoint or --policy-free: {given}")
    if options.checkpoint:
        learned = _load(options.checkpoint, options.out)
        _write_source(options.out, train_file(learned), learned)
    else:
        _write_source(options.out, policy_free_train_file())


def export_optimizer(options: Optimizer) -> None:
    """Write learned_lr.py."""
    learned = _load(options.policy, options.out)
    _write_source(options.out, optimizer_file(learned), learned)


def build(options: Submission) -> None:
    """Write the submission's ZIP."""
    if options.out.suffix != ".zip":
        raise ReportError(f"--out {options.out}: name a file that ends in .zip")
    content = submission(
        options.team, options.member, options.policy, options.results, options.benchmarks
    )
    _write(options.out, content)


def validate(options: Validate) -> int:
    """Print the faults of a ZIP; return 1 if there are any."""
    faults = _faults_of_file(options.file)
    for fault in faults:
        print(f"error: {fault}", file=sys.stderr)
    if not faults:
        print(f"{options.file}: valid")
    return int(bool(faults))


def _faults_of_file(path):
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a device may have no end
            raise ReportError(f"{path}: is no regular file; name a ZIP file")
        if status.st_size > LARGEST_ZIP:
            return [Fault(str(path), "is huge", f"keep it below {LARGEST_ZIP:,} bytes")]
        content = path.read_bytes()
    except OSError as problem:
        raise ReportError(f"{path}: {problem.strerror}; name a ZIP file") from None
    return all_faults(content)


#: Subcommand -> its options and the function that runs it.
VERBS: dict[str, tuple[type, Callable]] = {
    "": (Export, export),
    "optimizer": (Optimizer, export_optimizer),
    "submission": (Submission, build),
    "validate": (Validate, validate),
}


def _load(checkpoint, out):
    """Return the policy in the file `checkpoint`, which `out` must not overwrite."""
    learned = load_policy(checkpoint)
    if out.exists() and out.samefile(checkpoint):
        raise PolicyError(f"{out}: --out would overwrite the checkpoint; name another file")
    return learned


def _write_source(out: Path, joined: Joined, learned: Policy | None = None) -> None:
    _write(out, joined.source.encode())
    if learned:
        count = sum(weight.numel() for weight in learned.weights.values())
        print(f"{count:,} weights, policy sha256 {digest(learned)}")
    print("modules:", ", ".join(joined.modules))


def _write(out, content):
    try:
        write_atomically(out, content)
    except OSError as problem:
        reason = problem.strerror or problem
        raise PolicyError(f"{out}: cannot be written ({reason}); name another --out") from None
    print(f"wrote {out}, {len(content):,} bytes")
