"""The examples run for a few steps; `make examples` runs them in full."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NEEDS = {"with_lightning": "lightning", "with_trainer": "transformers"}


def processes(path, count):
    """Return the environment of each process of an example, as torchrun sets it."""
    alone = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    if path.stem != "with_ddp":
        return [alone]
    with socket.create_server(("localhost", 0)) as server:
        port = str(server.getsockname()[1])
    together = {**alone, "MASTER_ADDR": "localhost", "MASTER_PORT": port, "WORLD_SIZE": str(count)}
    return [{**together, "RANK": str(rank)} for rank in range(count)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_prints_learned_lr_beside_adamw(path, tmp_path):
    run(path, tmp_path)


@pytest.mark.slow  # two processes may time out on a busy machine
@pytest.mark.timeout(300)
def test_two_processes_keep_equal_weights(tmp_path):
    run(ROOT / "examples" / "with_ddp.py", tmp_path, count=2)


def run(path, tmp_path, count=1):
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem])
    command = [sys.executable, str(path), "--steps", "3"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environments = processes(path, count)
    started = [subprocess.Popen(command, cwd=tmp_path, env=e, **pipes) for e in environments]
    try:
        outputs = [process.communicate() for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0] * len(started), outputs
    lines = [line for line in outputs[0][0].splitlines() if "after 3 steps" in line]
    assert [re.match("[A-Za-z]+", line)[0] for line in lines] == ["AdamW", "LearnedLR"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_short_and_shows_its_command(path):
    text = path.read_text()
    assert text.count("\n") <= 80
    assert f"examples/{path.name}" in text.split('"""')[1]
    assert "from learned_lr import LearnedLR" in text
