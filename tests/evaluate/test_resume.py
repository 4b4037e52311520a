"""An evaluation that is killed outright goes on where it was: nothing is lost, nothing repeated."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Trains until a file allows it to end, so that the kill comes in the middle of its run.
PATIENT = """
import os, time

def train(task):
    open({entered!r}, "w").close()
    while not os.path.exists({released!r}):
        time.sleep(0.05)
"""


def command(submissions, out):
    arguments = [*map(str, submissions), "--suite", "smoke", "--out", str(out), "--limit", "60"]
    return [sys.executable, "-m", "evaluate", *arguments]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


@pytest.mark.slow
def test_resumes_after_sigkill(tmp_path, submission_file):
    entered, released, out = tmp_path / "entered", tmp_path / "released", tmp_path / "out"
    source = PATIENT.format(entered=str(entered), released=str(released))
    patient = submission_file(source, "patient.py")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command([patient], out), cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    )
    _wait_for(entered.exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = files(out)
    assert [json.loads(text)["submission"] for text in before.values()] == ["adam"]
    _wait_for(lambda: not _runs_of(patient))  # workers end with the evaluation

    released.touch()
    done = subprocess.run(command([patient], out), cwd=ROOT, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    after = files(out)
    assert before.items() <= after.items()
    runs = [(fields["pair"], fields["submission"]) for fields in map(json.loads, after.values())]
    assert sorted(runs) == [
        (pair, name) for pair in ("digits_mlp", "topics_lstm_tiny") for name in ("adam", "patient")
    ]
    assert list(out.glob(".*")) == []  # no half-written file


def _wait_for(condition):
    deadline = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _runs_of(path):
    return subprocess.run(["pgrep", "-f", str(path)], capture_output=True).stdout.split()
