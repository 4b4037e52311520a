"""Run a train.py on the smallest pairs, under watch, in evaluate's sandbox."""

import re
import tempfile
import threading
from pathlib import Path

from checkpoints_to_source.validation.fault import Fault
from checkpoints_to_source.validation.jail import LOAD_SECONDS, PATIENCE
from evaluate.outcomes import Outcome
from evaluate.pairs import load_suite
from evaluate.run.process import Job, run_in_process
from evaluate.run.runner import verified
from evaluate.sandbox.namespaces import namespaces_work
from tasks import build_task

SUITE = "smoke"  # the baseline takes less than a second on each pair
RUN_SECONDS = 60.0
MEMORY = 8  # GiB, evaluate's default
#: Meanings of exit codes of 128 plus the number of a signal.
SIGNALS = {
    142: f"its top level does not end within {PATIENCE} s",
    152: f"its top level takes more than {LOAD_SECONDS} s of processor time",
}
_JAILED = """\
from checkpoints_to_source.validation.jail import load

train = load({content!r})
"""


class TrialError(RuntimeError):
    """A train.py that can't be run here. The one-line message names the fix."""


def trial_faults(content: bytes) -> list[Fault]:
    """Run a train.py (bytes) whose source has no fault, and return the faults of its runs.

    Raise TrialError if this system permits no sandbox.
    """
    if not namespaces_work():
        raise TrialError(
            "train.py cannot be run apart: this system permits no user namespaces; permit them, as "
            "by sysctl kernel.unprivileged_userns_clone=1, or validate on another one"
        )
    faults = []
    with tempfile.TemporaryDirectory(prefix="validate-") as folder:
        path = Path(folder) / "train.py"
        path.write_text(_JAILED.format(content=content), encoding="utf-8")
        for pair in load_suite(SUITE):
            run = _run(path, pair.of_repeat(0))
            if run["outcome"] is Outcome.REACHED:
                continue
            if not run["seconds"]:  # the clock starts after loading
                what = f"cannot be loaded: {_reason(run)}"
                return [Fault("train.py", what, "fix its top level")]
            what = f"on the sample pair {pair.name} it ends by {run['outcome']}: {_reason(run)}"
            fix = f"reach the target within {RUN_SECONDS:.0f} s and {MEMORY} GiB"
            faults.append(Fault("train.py", what.removesuffix(": "), fix))
    return faults


def _run(path, variant):
    """Return the verified report of one run."""
    job = Job(
        submission=str(path),
        variant=variant.to_dict(),
        seed=0,
        limit_seconds=RUN_SECONDS,
        device="cpu",
        threads=1,
        memory_bytes=MEMORY * 2**30,
    )
    report, snapshot = run_in_process(job, threading.Event())
    return verified(report, snapshot, variant, build_task)


def _reason(run):
    code = re.search(r"the process ended with code (\d+)", run["message"])
    return SIGNALS.get(code and int(code[1]), run["message"])
