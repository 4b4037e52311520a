"""Real processes under torchrun have the meta-gradient of one process, and survive SIGKILL.

`ELASTIC_TRIALS` sets how many workers are killed, one per run (docs/cluster.md: ten).
"""

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

TRIALS = int(os.environ.get("ELASTIC_TRIALS", "1"))
STEPS = 20
SETTINGS = (
    "--families mlp --pairs 4 --variants 2 --shortest 20 --longest 60 --truncation 10 "
    f"--steps {STEPS} --checkpoint-every 4 --evaluate-every 8"
).split()


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def torchrun(processes, *arguments):
    """Return a torchrun command that restarts workers up to three times."""
    run = [sys.executable, "-m", "torch.distributed.run", "--max-restarts", "3"]
    return [*run, "--nproc-per-node", str(processes), *map(str, arguments)]


def on_one_machine(*arguments):
    """Return the command that starts both workers."""
    return [torchrun(2, "--standalone", *arguments)]


def on_two_machines(*arguments):
    """Return commands that start one worker each."""
    with socket.create_server(("localhost", 0)) as server:
        end = f"localhost:{server.getsockname()[1]}"
    meeting = ("--nnodes", 2, "--local-addr", "localhost")
    meeting += ("--rdzv-backend", "c10d", "--rdzv-endpoint", end)
    return 2 * [torchrun(1, *meeting, *arguments)]


def test_two_processes_have_the_meta_gradient_of_one(tmp_path):
    settings = "--families mlp --variants 2 --pairs 4 --shortest 20 --longest 40"
    settings += " --steps 1 --evaluate-every 0"
    found = []
    for processes in (1, 2):
        out = tmp_path / str(processes)
        options = "--standalone", "-m", "metalearn", "--out", out, *settings.split()
        command = torchrun(processes, *options)
        subprocess.run(command, check=True, timeout=100, env=environment(), capture_output=True)
        assert all(json.loads((out / "log.jsonl").read_text())["norm"]), "of two groups"
        # After one step, the first moment is a tenth of the meta-gradient.
        found.append(load_file(out / "checkpoints/000001/outer.safetensors")["adam.exp_avg"])
    one, two = found
    torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5 * one.abs().max().item())


def workers(parents):
    """Return rank -> process id of the workers of all torchruns."""
    ranks = {}
    for child in itertools.chain.from_iterable(map(children, parents)):
        try:
            values = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
        except OSError:  # ended meanwhile
            continue
        ranks |= {int(v[5:]): int(child) for v in values if v.startswith(b"RANK=")}
    return ranks


def children(parent):
    return Path(f"/proc/{parent}/task/{parent}/children").read_text().split()


def last_step(out):
    log = out / "log.jsonl"
    return log.read_text().count("\n") if log.exists() else 0


def kill_at(step, rank, out, processes):
    """Send SIGKILL to a worker once the run's log has reached a step."""
    while last_step(out) < step:
        assert all(process.poll() is None for process in processes), "it ended before the kill"
        time.sleep(0.01)
    os.kill(workers(process.pid for process in processes)[rank], signal.SIGKILL)


def train(out, kill=None, start=on_one_machine):
    """Run on two processes and return stderr; `kill` is (step, rank)."""
    commands = start("-m", "metalearn", "--out", out, *SETTINGS)
    # Torchrun's own store only serves restarts on one machine.
    is_new = str(int(start is on_two_machines))
    env = {**environment(), "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": is_new}
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=env, **streams) for command in commands]
    try:
        if kill:
            kill_at(*kill, out, processes)
        errors = "".join(process.communicate(timeout=140)[1] for process in processes)
    finally:
        for process in processes:
            process.kill()
    assert not any(process.returncode for process in processes), errors[-2000:]
    return errors


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    out = tmp_path_factory.mktemp("elastic") / "whole"
    train(out)
    return out


@pytest.mark.slow
@pytest.mark.timeout(300)  # the first trial also runs the undisturbed run
@pytest.mark.parametrize("trial", range(TRIALS))
def test_killed_worker_resumes_to_the_same_weights(undisturbed, tmp_path, trial):
    rng = random.Random(trial)
    kill = (rng.randrange(5, STEPS - 6), trial % 2)
    errors = train(tmp_path / "run", kill)
    assert "exitcode: -9" in errors, "no worker was killed"
    assert_same(undisturbed, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("rank", [0, 1])
def test_worker_killed_on_one_of_two_machines_is_restarted(undisturbed, tmp_path, rank):
    errors = train(tmp_path / "run", (9, rank), on_two_machines)
    assert "exitcode: -9" in errors, "no worker was killed"
    assert_same(undisturbed, tmp_path / "run")


def assert_same(undisturbed, out):
    """Check that two runs ended with the same weights, and logged each step once."""
    files = sorted((undisturbed / "checkpoints" / f"{STEPS:06d}").glob("*.safetensors"))
    assert len(files) == 3, "outer state and the particles of two processes"
    for file in [*files, undisturbed / "policy.safetensors", undisturbed / "best.safetensors"]:
        ours = load_file(out / file.relative_to(undisturbed))
        for name, value in load_file(file).items():
            assert torch.equal(ours[name], value), (file.name, name)
    entries = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in entries] == list(range(1, STEPS + 1))
