"""The exported train.py: self-contained, exact, and the same program as the package."""

import ast
import json
import math
import subprocess
import sys

import pytest
import torch

from checkpoints_to_source import train_file
from checkpoints_to_source.cli import main
from policy.checkpoint import Policy, PolicyError, digest, save_policy
from policy.driver.run import run
from policy.rule.spec import Spec, weight_shapes

ALLOWED = set(sys.stdlib_module_names) | {"torch", "numpy", "scipy"}


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
    """The path of a train.py that the command wrote, alone in its folder."""
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


def test_file_is_python_3_7_and_imports_only_what_the_challenge_has(exported):
    source = exported.read_text()
    tree = ast.parse(source, feature_version=(3, 7))
    roots = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            roots |= {item.name.partition(".")[0] for item in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            roots.add(node.module.partition(".")[0])
    assert "torch" in roots and roots <= ALLOWED
    docstring = ast.get_docstring(tree)
    assert digest(make_policy()) in docstring and "pretraining" in docstring
    assert str(exported.parent) not in source


def test_equal_policies_give_equal_bytes(exported, tmp_path):
    save_policy(tmp_path / "other-name", make_policy(), {"origin": "elsewhere"})
    assert main([str(tmp_path / "other-name"), "--out", str(tmp_path / "again.py")]) == 0
    assert (tmp_path / "again.py").read_bytes() == exported.read_bytes()


# A task of the challenge's interface, of its own so that the clean process below can run it: a
# quadratic bowl in two tensors, deterministic, done by its count of tests.
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
        return iter(range(4))  # of no length: the batch size, which the clock decides, is let be

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

CLEAN = """
import json, sys
import torch
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
exec(sys.argv[2])
import train
for package in ("policy", "safetensors", "checkpoints_to_source"):
    assert package not in sys.modules, package
bits = {
    name: [list(weight.shape), str(weight.dtype), weight.view(torch.int32).tolist()]
    for name, weight in train.WEIGHTS.items()
}
for repetition in range(2):
    task = Bowl(6)
    try:
        train.train(task)
    except Done:
        pass
    steps = [step for step, rates in train.learning_rates]
    assert steps == sorted(steps) and steps[0] < 200, steps
json.dump([train.SPEC._asdict(), bits, train.learning_rates[:1]], sys.stdout)
"""


def test_file_runs_alone_with_the_exact_policy_and_the_packages_rates(exported, tmp_path):
    # -I: neither the working folder nor PYTHONPATH; the working folder is not the repository.
    command = [sys.executable, "-I", "-c", CLEAN, str(exported.parent), TASK]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    spec, bits, first = json.loads(done.stdout)

    learned = make_policy()
    assert Spec(**spec) == learned.spec
    assert bits == {
        name: [list(weight.shape), "torch.float32", weight.view(torch.int32).tolist()]
        for name, weight in learned.weights.items()
    }

    # The first test comes after a fixed number of steps; later ones depend on the clock.
    namespace = {}
    exec(TASK, namespace)
    trace = []
    with pytest.raises(namespace["Done"]):
        run(namespace["Bowl"](6), learned.spec, learned.weights, trace=trace)
    assert first == [[trace[0][0], trace[0][1]]]


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
    """Runs the command in this process, which is to refuse its arguments with these words."""

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
    ast.parse(source, feature_version=(3, 7))
    # Run as a plain script: the package's modules are not needed.
    command = [sys.executable, "-I", "-c", CONSTANT, str(tmp_path), TASK]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before, after, rates = json.loads(done.stdout)
    assert after < 0.9 * before
    assert rates[0][1] == pytest.approx(5e-4)  # of the vector, whose natural unit is 1
    # Constant but for the driver's last resort, which quarters all where tests stop to fall.
    factors = [row[1] / rates[0][1] for row in rates]
    assert factors.count(1) > 1 and all(0.25 ** round(-math.log(f, 4)) == f for f in factors)
    scaled = [[f * rate for rate in rates[0]] for f in factors]
    assert rates == scaled


CONSTANT = """
import json, sys
import torch
sys.path.insert(0, sys.argv[1])
exec(sys.argv[2])
import train
assert train.WEIGHTS is None
task = Bowl(6)
before = task.batch_loss(0)
try:
    train.train(task)
except Done:
    pass
json.dump([before, task.batch_loss(0), [rates for _, rates in train.learning_rates]], sys.stdout)
"""


def test_usage_errors_exit_with_2(refused, tmp_path):
    refused("some", "--policy-free", "--out", tmp_path / "train.py", words=["both are given"])
    assert not list(tmp_path.iterdir())
    refused(words=["neither is given"])
