"""The exported train.py is self-contained and exact, and the same program as the package."""

import ast
import json
import math
import subprocess
import sys

import pytest
import torch

from checkpoints_to_source import train_file
from checkpoints_to_source.cli import main
from checkpoints_to_source.validation.source import source_faults
from policy.checkpoint import Policy, PolicyError, digest, save_policy
from policy.rule.spec import Spec, weight_shapes


def make_policy():
    spec = Spec(hidden=4, base_rate=1e-3 / 3)
    generator = torch.Generator().manual_seed(0)
    shapes = weight_shapes(spec)
    weights = {n: 0.3 * torch.randn(s, generator=generator) for n, s in shapes.items()}
    weights["head.bias"][0] = -0.0
    weights["lstm.bias"][0] = 1e-45
    return Policy(spec, weights)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return the path of a train.py written by the command, alone in its folder."""
    folder = tmp_path_factory.mktemp("export")
    save_policy(folder / "policy.safetensors", make_policy())
    path = folder / "alone" / "train.py"
    command = [sys.executable, "-m", "checkpoints_to_source", str(folder / "policy.safetensors")]
    done = subprocess.run([*command, "--out", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert str(path) in done.stdout and digest(make_policy()) in done.stdout
    assert f"{path.stat().st_size:,}" in done.stdout
    assert list(path.parent.iterdir()) == [path]
    return path


def test_file_has_a_header_and_passes_the_validator(exported):
    source = exported.read_bytes()
    docstring = ast.get_docstring(ast.parse(source))
    assert digest(make_policy()) in docstring and "pretraining" in docstring
    assert source_faults(source) == []


def test_equal_policies_give_equal_bytes(exported, tmp_path):
    save_policy(tmp_path / "other-name", make_policy(), {"origin": "elsewhere"})
    assert main([str(tmp_path / "other-name"), "--out", str(tmp_path / "again.py")]) == 0
    assert (tmp_path / "again.py").read_bytes() == exported.read_bytes()


# A task with the challenge's interface, as text for a process without the package: a quadratic bowl
# in two tensors that ends after a number of tests.
TASK = """
import torch


class Done(Exception):
    pass


class Bowl:
    default_batch_size = 8
    target_test_loss = 0.01

    def __init__(self, tests):
        generator = torch.Generator().manual_seed(1)
        self.state = [torch.randn(s, generator=generator) for s in [(3, 2), (5,)]]
        self.tests = tests

    def train_iterator(self, batch_size, shuffle):
        return iter(range(4))  # without a length: the batch size stays

    def batch_loss(self, batch):
        return sum(float((p * p).sum()) for p in self.state) * (1 + 0.1 * batch)

    def batch_loss_and_gradient(self, batch):
        return self.batch_loss(batch), [2 * p * (1 + 0.1 * batch) for p in self.state]

    def test(self, state):
        self.tests -= 1
        if self.tests < 0:
            raise Done
        return 2.0 ** self.tests
"""

ALONE = """
import json, sys
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
import train

def trained(task):
    try:
        train.train(task)
    except Done:
        return task
"""

CLEAN = """
for package in ("policy", "safetensors", "checkpoints_to_source"):
    assert package not in sys.modules, package
bits = {
    name: [list(weight.shape), str(weight.dtype), weight.view(torch.int32).tolist()]
    for name, weight in train.WEIGHTS.items()
}
for repetition in range(2):
    trained(Bowl(6))
    steps = [step for step, rates in train.learning_rates]
    assert steps == sorted(steps) and steps[0] < 200, steps
json.dump([train.SPEC._asdict(), bits], sys.stdout)
"""


def run_alone(folder, script):
    """Return the JSON output of a script that can only import the train.py in a folder."""
    # -I ignores the working folder and PYTHONPATH.
    command = [sys.executable, "-I", "-c", TASK + ALONE + script, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_file_runs_alone_with_the_exact_policy(exported):
    spec, bits = run_alone(exported.parent, CLEAN)
    learned = make_policy()
    assert Spec(**spec) == learned.spec
    assert bits == {
        name: [list(weight.shape), "torch.float32", weight.view(torch.int32).tolist()]
        for name, weight in learned.weights.items()
    }


def test_unusable_weights_are_refused():
    learned = make_policy()
    learned.weights["head.bias"][0] = float("nan")
    with pytest.raises(PolicyError, match="head.bias"):
        train_file(learned)
    del learned.weights["head.bias"]
    with pytest.raises(PolicyError, match="head.bias"):
        train_file(learned)


@pytest.fixture
def refused(capsys):
    """Return a check that the command refuses its arguments with these words."""

    def check(*arguments, words):
        assert main(list(map(str, arguments))) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1
        assert all(word in error for word in words)

    return check


def test_bad_checkpoints_leave_no_file(refused, tmp_path):
    out = tmp_path / "new" / "train.py"
    refused(tmp_path / "none", "--out", out, words=["none", "no such file"])
    save_policy(tmp_path / "p", make_policy())
    content = (tmp_path / "p").read_bytes()
    (tmp_path / "p").write_bytes(content[:-1])
    refused(tmp_path / "p", "--out", out, words=[str(tmp_path / "p"), "truncated"])
    assert not out.parent.exists()


def test_bad_destinations_are_refused(refused, tmp_path):
    checkpoint = tmp_path / "p"
    save_policy(checkpoint, make_policy())
    before = checkpoint.read_bytes()
    refused(checkpoint, "--out", checkpoint, words=["overwrite the checkpoint"])
    refused(checkpoint, "--out", tmp_path, words=[str(tmp_path)])
    refused(checkpoint, "--out", checkpoint / "train.py", words=["--out"])
    assert checkpoint.read_bytes() == before
    assert list(tmp_path.iterdir()) == [checkpoint]


def test_policy_free_file_runs_alone_with_constant_rates(tmp_path):
    assert main(["--policy-free", "--out", str(tmp_path / "train.py")]) == 0
    source = (tmp_path / "train.py").read_text()
    assert "nothing in\nthis file was learned" in source
    before, after, rates = run_alone(tmp_path, CONSTANT)
    assert after < 0.9 * before
    assert rates[0][1] == pytest.approx(5e-4)  # the vector's natural unit is 1
    # Rates are constant, except that the driver quarters all of them if tests stop falling.
    factors = [row[1] / rates[0][1] for row in rates]
    assert factors.count(1) > 1 and all(0.25 ** round(-math.log(f, 4)) == f for f in factors)
    scaled = [[f * rate for rate in rates[0]] for f in factors]
    assert rates == scaled


CONSTANT = """
assert train.WEIGHTS is None
before, after = Bowl(6).batch_loss(0), trained(Bowl(6)).batch_loss(0)
json.dump([before, after, [rates for _, rates in train.learning_rates]], sys.stdout)
"""


def test_usage_errors_exit_with_2(refused, tmp_path):
    refused("some", "--policy-free", "--out", tmp_path / "train.py", words=["both are given"])
    assert not list(tmp_path.iterdir())
    refused(words=["neither is given"])
