"""The comparison of old and new environments: that it runs, repeats, and can fail."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from checkpoints_to_source import train_file
from policy.checkpoint import Policy
from policy.spec import Spec
from policy.weights import initial_weights

FOLDER = Path(__file__).parent


def call(script, *arguments):
    command = [sys.executable, FOLDER / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def curve(tmp_path_factory):
    folder = tmp_path_factory.mktemp("legacy")
    (folder / "train.py").write_text(train_file(Policy(Spec(), initial_weights(Spec(), 0))).source)
    for name in ("first.json", "again.json"):
        done = call("curve.py", folder / "train.py", folder / name)
        assert done.returncode == 0, done.stderr
    return folder / "first.json"


def test_runs_500_steps_and_repeats_exactly(curve):
    losses = json.loads(curve.read_text())["losses"]
    assert len(losses) == 500
    assert losses == json.loads((curve.parent / "again.json").read_text())["losses"]
    assert sum(losses[-50:]) < 0.5 * sum(losses[:50]), "a curve that hardly falls proves little"


@pytest.mark.parametrize("spoil", [lambda x: x[:-1], lambda x: [x[0] + 2e-5] + x[1:]])
def test_other_curves_are_told_apart(curve, tmp_path, spoil):
    content = json.loads(curve.read_text())
    content["losses"] = spoil(content["losses"])
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    assert call("compare.py", curve, curve).returncode == 0
    assert call("compare.py", curve, other).returncode == 1
