"""A killed evaluation resumes: no run is lost, and none is repeated."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Waits until an environment variable is set, so that the kill comes in mid-run. It sees no files
#: but its own.
PATIENT = """
import os, time

def train(task):
    while "TORCH_RELEASED" not in os.environ:
        time.sleep(0.05)
"""


def command(submissions, out):
    arguments = [*map(str, submissions), "--suite", "smoke", "--out", str(out), "--limit", "60"]
    return [sys.executable, "-m", "evaluate", *arguments]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


@pytest.fixture
def start(tmp_path):
    """Return a function that starts a command, with its temporary files in the test's folder.

    Its errors go to a file.
    """
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path / "temporary")}

    started = []

    def begin(arguments, **more):
        process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env={**environment, **more},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            # Shells let background jobs ignore SIGINT, and children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_resumes_after_sigkill(tmp_path, submission_file, start):
    out, patient = tmp_path / "out", submission_file(PATIENT, "patient.py")
    process = start(command([patient], out))
    _wait_for(lambda: files(out) and _workers(tmp_path) or process.poll() is not None)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = files(out)
    assert [json.loads(text)["submission"] for text in before.values()] == ["adam"]
    _wait_for(lambda: not _workers(tmp_path))  # workers end with the evaluation
    _resume(start(command([patient], out), TORCH_RELEASED="1"), out, before)


@pytest.mark.slow
def test_ctrl_c_ends_parallel_runs_at_once(tmp_path, submission_file, start):
    out, patient = tmp_path / "out", submission_file(PATIENT, "patient.py")
    side_by_side = [*command([patient], out), "--steps-only", "--jobs", "2"]
    process = start(side_by_side)
    _wait_for(lambda: len(files(out)) == 2 and _workers(tmp_path) or process.poll() is not None)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    begun = time.monotonic()
    _, errors = process.communicate(timeout=60)
    assert time.monotonic() - begun < 10  # the runs would take a minute
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "error: interrupted; run the same command to resume"
    assert not _workers(tmp_path) and not list((tmp_path / "temporary").glob("evaluate-*"))
    before = files(out)
    assert [json.loads(text)["submission"] for text in before.values()] == ["adam"] * 2
    _resume(start(side_by_side, TORCH_RELEASED="1"), out, before)


def _resume(process, out, before):
    """Let the evaluation end; check that old results are kept, and that no run is there twice."""
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    after = files(out)
    assert before.items() <= after.items()
    runs = [(fields["pair"], fields["submission"]) for fields in map(json.loads, after.values())]
    assert sorted(runs) == [
        (pair, name) for pair in ("digits_mlp", "topics_lstm_tiny") for name in ("adam", "patient")
    ]
    assert [path.name for path in out.glob(".*")] == [".lock"]  # no partial files


def _wait_for(condition):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _workers(folder):
    """Return the processes of runs whose temporary files are in the folder."""
    pattern = f"evaluate.run.worker {folder}"
    return subprocess.run(["pgrep", "-f", pattern], capture_output=True).stdout.split()
