"""The examples run, for a few steps: `make examples` runs them in full."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NEEDS = {"with_lightning": "lightning", "with_trainer": "transformers"}
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_prints_learned_lr_beside_adamw(path, tmp_path):
    if path.stem in NEEDS:
        pytest.importorskip(NEEDS[path.stem])
    launcher = TORCHRUN if path.stem == "with_ddp" else ()
    command = [sys.executable, *launcher, str(path), "--steps", "3"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "after 3 steps" in line]
    assert [re.match("[A-Za-z]+", line)[0] for line in lines] == ["AdamW", "LearnedLR"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_is_short_and_shows_how_it_is_run(path):
    text = path.read_text()
    assert text.count("\n") <= 80
    assert f"examples/{path.name}" in text.split('"""')[1]
    assert "from learned_lr import LearnedLR" in text
