"""Fixtures of the tests of evaluate: a tiny task, submission files, and results."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
import torch
from results import make_result
from zoo import DIGITS, HONEST, TINY

from evaluate.run import launch
from evaluate.run.process import Job
from evaluate.run.worker import run_apart
from evaluate.sandbox import hide, namespaces
from evaluate.sandbox.guard import data_folders
from evaluate.sandbox.hide import needed
from tasks import Batch, Done, build_task


class Quadratic:
    """A task with the loss |w|^2 / 2, starting at w = (1, 1).

    Gradients reuse storage, and losses may be tensors.
    """

    def __init__(self, target=0.1, batches=2, scale=1.0):
        self.network = torch.nn.BatchNorm1d(2)
        self._weight = torch.nn.Parameter(torch.ones(2))
        self._gradient = torch.zeros(2)
        self._batches, self._scale = batches, scale
        self.state = [self._weight.data]
        self.default_batch_size = 4
        self.target_test_loss = target

    def train_iterator(self, batch_size, shuffle):
        return [Batch(torch.zeros(1), torch.zeros(1))] * self._batches

    def batch_loss(self, batch):
        return self._scale * 0.5 * float(self._weight.data.square().sum())

    def batch_loss_and_gradient(self, batch):
        self.network.running_mean += 1
        self._gradient.copy_(self._weight.data)
        return torch.tensor(self.batch_loss(batch)), [self._gradient]

    def test(self, state=None):
        weight = self.state[0] if state is None else state[0]
        loss = self._scale * 0.5 * float(weight.square().sum())
        if loss < self.target_test_loss:
            raise Done
        return loss


@pytest.fixture
def quadratic():
    """Return the class of a task that two steps of gradient descent (rate 0.5) bring below 0.1."""
    return Quadratic


@pytest.fixture
def submission_file(tmp_path):
    """Return a function that writes a train.py and returns its path."""

    def write(source, name="train.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    return write


@pytest.fixture(name="make_result")
def result_maker():
    return make_result


@pytest.fixture
def job(tmp_path, submission_file):
    def make(body, **limits):
        source = HONEST + "\n".join(line.removeprefix("        ") for line in body.splitlines())
        folder = tmp_path / "worker"
        folder.mkdir(exist_ok=True)
        settings = {"limit_seconds": 20.0, "memory_bytes": 2 * 2**30, **limits}
        return Job(
            submission=str(submission_file(source)), variant=TINY.to_dict(), seed=0,
            device="cpu", threads=1, folder=str(folder), **settings,
        )  # fmt: skip

    return make


@pytest.fixture
def verdict(job, monkeypatch):
    """Return a function that runs a submission in its own process, with the oracle in this one."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))

    def make(body, **limits):
        report, snapshot = run_apart(job(body, **limits), lambda: build_task(TINY), [str(DIGITS)])
        assert (snapshot is not None) == (report["outcome"] == "reached")
        return report

    return make


@pytest.fixture
def without_namespaces(monkeypatch):
    """Let the attempt to create namespaces fail, as on a system without them."""
    monkeypatch.setattr(namespaces, "UNSHARE", ("false",))
    namespaces.namespaces_work.cache_clear()
    yield
    namespaces.namespaces_work.cache_clear()


@pytest.fixture
def inside(tmp_path, submission_file):
    """Return a function that runs Python code in a submission's sandbox.

    It needs no PyTorch and no task, which would take seconds. It returns what the code prints or,
    with `measure`, the value of `measure` for the process once it has printed a line.
    """

    def run(code, measure=None, **changes):
        job = {
            "submission": str(submission_file("")), "memory_bytes": 2**28, "data_files": [],
            "known_data_files": [], "data_folders": data_folders(), "results": "",
            "shown": needed(), "offline": not namespaces.namespaces_work(), **changes,
        }  # fmt: skip
        start = "\n".join(
            [
                "import os, sys",
                "from evaluate.run import client",
                f"code = 'SUBMISSION = {{!r}}\\n'.format('/submission') + {code!r}",
                "client._run = lambda job, socket: (exec(code, {}), sys.stdout.flush())",
                "client.main(*map(int, sys.argv[1:]))",
            ]
        )
        (lifeline, cut), (told, tell) = os.pipe(), os.pipe()
        ours, theirs = socket.socketpair()
        kept = (theirs.fileno(), lifeline, told)
        scratch = tempfile.mkdtemp(dir=tmp_path)
        process = subprocess.Popen(
            [*namespaces.entry(), sys.executable, "-c", start, *map(str, kept)],
            pass_fds=kept,
            cwd=scratch,
            env={**launch._environment(scratch), "PYTHONPATH": hide.PROJECT},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with theirs, ours, open(tell, "w") as pipe:
            json.dump(job, pipe)
        for descriptor in (lifeline, told):
            os.close(descriptor)
        found = None
        if measure is not None:
            assert process.stdout.readline() == "full\n"
            found = measure(process.pid)
        printed, _ = process.communicate(timeout=60)
        os.close(cut)
        return printed if measure is None else found

    return run
