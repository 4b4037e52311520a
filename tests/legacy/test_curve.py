"""The comparison of old and new environments runs, repeats, and can fail."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from checkpoints_to_source.train_file import policy_free_train_file

FOLDER = Path(__file__).parent


def call(script, *arguments):
    command = [sys.executable, FOLDER / script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return the path of curve.py's output for a train.py."""
    folder = tmp_path_factory.mktemp("legacy")
    (folder / "train.py").write_text(policy_free_train_file().source)
    done = call("curve.py", folder / "train.py", folder / "run.json")
    assert done.returncode == 0, done.stderr
    return folder / "run.json"


def test_runs_500_convex_steps_and_reaches_the_networks_targets(run):
    content = json.loads(run.read_text())
    losses = content["losses"]
    assert len(losses) == 500
    # The driver may have restarted by the end, since it restarts when tests stop improving.
    lowest = min(sum(losses[i : i + 50]) for i in range(0, 500, 50))
    assert lowest < 0.5 * sum(losses[:50]), "a curve that hardly falls proves little"
    assert set(content["steps"]) == {"perceptron", "images", "language"}
    # Targets reached in a few steps would prove little, too.
    assert min(content["steps"].values()) > 20


def test_train_that_stops_early_is_reported(tmp_path):
    (tmp_path / "train.py").write_text(
        "def train(task):\n    batch = next(iter(task.train_iterator(batch_size=32, shuffle=True)))"
        "\n    task.batch_loss_and_gradient(batch)\n"
    )
    assert call("curve.py", tmp_path / "train.py", tmp_path / "run.json").returncode == 0
    content = json.loads((tmp_path / "run.json").read_text())
    assert len(content["losses"]) == 1 and set(content["steps"].values()) == {None}
    assert call("compare.py", tmp_path / "run.json").returncode == 1


def shorten(content):
    content["losses"].pop()


def shift(content):
    content["losses"][0] += 2e-5


def spoil_one(content):
    content["losses"][7] = float("nan")


def miss(content):
    content["steps"]["images"] = None


@pytest.mark.parametrize("spoil", [shorten, shift, spoil_one, miss])
def test_differing_runs_are_detected(run, tmp_path, spoil):
    content = json.loads(run.read_text())
    spoil(content)
    (tmp_path / "other.json").write_text(json.dumps(content))
    assert call("compare.py", run, run).returncode == 0
    assert call("compare.py", run, tmp_path / "other.json").returncode == 1
