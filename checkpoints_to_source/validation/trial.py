"""Runs a train.py, watched: first its top level alone, then on the smallest pairs there are."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from checkpoints_to_source.validation import audit
from checkpoints_to_source.validation.fault import Fault

SUITE = "smoke"  # the baseline takes below a second on each of its pairs
LOAD_SECONDS = 10.0  # of the processor, for the top level, libraries left out
PATIENCE = 180.0  # on the clock, for the same: other work may go on
RUN_SECONDS = 60.0
MEMORY = 8  # GiB, the default of evaluate

_LOAD = f"""
import resource, time
resource.setrlimit(resource.RLIMIT_CPU, (600, 600))
begin = time.process_time()
LOAD()
spent = time.process_time() - begin
if spent > {LOAD_SECONDS}:
    raise SystemExit("its top level takes %.0f s of processor time" % spent)
"""


def trial_faults(content):
    """Faults of running a train.py (bytes) whose source was read and found without fault."""
    with tempfile.TemporaryDirectory(prefix="validate-") as name:
        folder = Path(name)
        return _load_faults(content, folder) or _run_faults(content, folder)


def watched(content):
    """The source of a file that runs the submission under :mod:`.audit`, as if it were it."""
    return "\n".join(
        [
            Path(audit.__file__).read_text(encoding="utf-8"),
            "import linecache, types",
            "import numpy, torch  # before the watch, and off the submission's time",
            f"CONTENT = {content!r}",
            "MODULE = types.ModuleType('submission')",
            "sys.modules['submission'] = MODULE  # dataclasses look there",
            "NAMESPACE = MODULE.__dict__",
            "NAMESPACE['__file__'] = SUBMISSION",
            "LINES = CONTENT.decode('utf-8-sig').splitlines(True)",
            "linecache.cache[SUBMISSION] = len(CONTENT), None, LINES, SUBMISSION  # for warnings",
            "def LOAD():",
            "    exec(compile(CONTENT, SUBMISSION, 'exec'), NAMESPACE)",
            "watch()",
        ]
    )


def _load_faults(content, folder):
    path = folder / "load.py"
    path.write_text(watched(content) + _LOAD, encoding="utf-8")
    done = _call([sys.executable, str(path)], folder, PATIENCE)
    if done is None:
        what = f"its top level does not end within {PATIENCE:.0f} s"
        return [Fault("train.py", what, "move the work into train")]
    if done[0] == 0:
        return []
    return [Fault("train.py", f"cannot be loaded: {_last_words(*done)}", "mend its top level")]


def _run_faults(content, folder):
    submission = folder / "train.py"
    run = "LOAD()\ntrain = NAMESPACE['train']\n"
    submission.write_text(f"{watched(content)}\n{run}", encoding="utf-8")
    results = folder / "results"
    options = ("--suite", SUITE, "--limit", str(RUN_SECONDS), "--memory", str(MEMORY))
    command = [sys.executable, "-m", "evaluate", str(submission), *options, "--out", str(results)]
    done = _call(command, Path.cwd(), 60 + 10 * RUN_SECONDS)
    files = results.glob("*.json") if results.is_dir() else []
    runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    ours = [run for run in runs if run["role"] == "submission"]
    faults = [_run_fault(run) for run in ours if run["outcome"] != "reached"]
    if faults:
        return faults
    if ours and done is not None and done[0] == 0:
        return []
    # Though some pairs may have had their run.
    reason = "it does not end" if done is None else _last_words(*done)
    return [Fault("train.py", f"could not be run: {reason}", "see that evaluate works")]


def _last_words(status, output):
    """Why a process that :func:`_call` started ended so."""
    return (output.strip().splitlines() or [f"exit status {status}"])[-1]


def _run_fault(run):
    reason = f": {run['message']}" if run["message"] else ""
    limits = f"{RUN_SECONDS:.0f} s and {MEMORY} GiB"
    what = f"on the sample pair {run['pair']} it ends by {run['outcome']}{reason}"
    return Fault("train.py", what, f"reach the target within {limits}")


def _call(command, folder, seconds):
    """``(exit status, stderr)``, None past the time; all that was started is then ended."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        _, output = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return None
    return process.returncode, output
