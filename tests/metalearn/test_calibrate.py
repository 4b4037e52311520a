"""A calibrated policy is the same one with another base rate."""

import subprocess
import sys

import torch

from policy.checkpoint import Policy, load_policy, read_metadata, save_policy
from policy.spec import Spec
from policy.weights import initial_weights


def calibrate(*arguments):
    command = [sys.executable, "-m", "metalearn.calibrate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def test_only_the_base_rate_changes(tmp_path):
    source, out = tmp_path / "policy.safetensors", tmp_path / "scaled.safetensors"
    save_policy(source, Policy(Spec(), initial_weights(Spec(), 0)), {"config": "{}"})
    done = calibrate(source, "--base-rate", "3e-4", "--out", out)
    assert done.returncode == 0, done.stderr
    before, after = load_policy(source), load_policy(out)
    assert after.spec == before.spec._replace(base_rate=3e-4)
    assert all(torch.equal(before.weights[name], w) for name, w in after.weights.items())
    kept = read_metadata(out)
    assert kept["config"] == "{}" and kept["base_rate_in_training"] == repr(Spec().base_rate)


def test_bad_input_is_one_line_and_writes_nothing(tmp_path):
    source, out = tmp_path / "policy.safetensors", tmp_path / "scaled.safetensors"
    save_policy(source, Policy(Spec(), initial_weights(Spec(), 0)))
    for arguments in ((source, "--base-rate", "0"), (tmp_path / "none", "--base-rate", "1e-3")):
        done = calibrate(*arguments, "--out", out)
        assert done.returncode == 2 and done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1 and not out.exists()
