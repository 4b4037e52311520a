"""The exported learned_lr.py is self-contained, and the same optimizer as the package's."""

import copy
import importlib.util
import inspect
import subprocess
import sys

import pytest
import torch
from torch import nn

from checkpoints_to_source.cli import main
from checkpoints_to_source.optimizer_file import optimizer_file
from policy.checkpoint import Policy, PolicyError, digest, save_policy
from policy.optimizer import LearnedLR
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights


def make_policy(seed=0):
    spec = Spec()
    weights = initial_weights(spec, seed)
    weights["head.weight"].uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(1))
    return Policy(spec, weights)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Return the path of a learned_lr.py written by the command."""
    folder = tmp_path_factory.mktemp("export")
    save_policy(folder / "policy.safetensors", make_policy())
    path = folder / "alone" / "learned_lr.py"
    policy = str(folder / "policy.safetensors")
    assert main(["optimizer", "--policy", policy, "--out", str(path)]) == 0
    assert list(path.parent.iterdir()) == [path]
    return path


@pytest.fixture(scope="module")
def exported(path):
    """Return the exported module."""
    spec = importlib.util.spec_from_file_location("learned_lr", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def network(dtype=torch.float32):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).to(dtype)


def fit(model, optimizer, steps):
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(16, 6, generator=generator).to(next(model.parameters()).dtype)
        loss = nn.functional.cross_entropy(model(x), x[:, :3].argmax(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step(loss)


def single(model):
    return model.parameters()


def grouped(model):
    return [{"params": model[0].parameters(), "lr": 0.3}, {"params": model[2].parameters()}]


@pytest.mark.parametrize("groups", [single, grouped])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_steps_equal_the_packages_after_exchanging_states(exported, dtype, groups):
    ours, theirs = network(dtype), network(dtype)
    mine = LearnedLR(groups(ours), policy=make_policy())
    other = exported.LearnedLR(groups(theirs))
    fit(ours, mine, range(13))
    fit(theirs, other, range(13))
    mine_now, other_now = mine.state_dict(), other.state_dict()
    assert mine.rates() == other.rates()
    mine = LearnedLR(groups(ours), policy=make_policy())
    other = exported.LearnedLR(groups(theirs))
    mine.load_state_dict(copy.deepcopy(other_now))
    other.load_state_dict(copy.deepcopy(mine_now))
    fit(ours, mine, range(13, 24))
    fit(theirs, other, range(13, 24))
    mine.eval(), other.eval()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)
    assert (ours[0].weight - network(dtype)[0].weight).abs().max() > 0.01


ALONE = """
import json, sys
sys.path.insert(0, sys.argv[1])
sys.modules["safetensors"] = sys.modules["numpy"] = None  # as if they were not installed
import torch
from learned_lr import LearnedLR, PolicyError
model = torch.nn.Linear(3, 2)
optimizer = LearnedLR(model.parameters())
before = model.weight.detach().clone()
loss = model(torch.ones(4, 3)).square().sum()
loss.backward()
optimizer.step(loss)
assert not torch.equal(before, model.weight)
try:
    LearnedLR(model.parameters(), policy="mine.safetensors")
except PolicyError as error:
    print(error)
"""


@pytest.mark.filterwarnings("ignore")
def test_file_works_alone_and_needs_safetensors_only_for_policies(path, tmp_path):
    command = [sys.executable, "-I", "-W", "ignore", "-c", ALONE, str(path.parent)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "mine.safetensors: needs safetensors to be read; pip install it\n"


def test_public_interface_is_explained_and_typed(exported):
    assert exported.__all__ == ["LearnedLR", "PolicyError"]
    assert exported.LearnedLR.__module__ == "learned_lr"
    assert digest(make_policy()) in exported.__doc__
    public = [
        value
        for name, value in vars(exported.LearnedLR).items()
        if inspect.isfunction(value) and not name.startswith("_")
    ]
    names = {function.__name__ for function in public}
    assert {"step", "observe", "averaged", "eval", "train", "rates", "state_dict"} <= names
    for function in [*public, exported.LearnedLR.__init__]:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        assert all(p.annotation is not p.empty for p in parameters), function
        assert inspect.signature(function).return_annotation is not inspect.Signature.empty
    assert all(function.__doc__ for function in public)
    text = inspect.getdoc(exported.LearnedLR)
    assert ":class:" not in text and ":meth:" not in text and "policy.checkpoint" not in text


def test_unusable_input_is_refused(tmp_path, capsys):
    out = tmp_path / "learned_lr.py"
    assert main(["optimizer", "--policy", str(tmp_path / "none"), "--out", str(out)]) == 2
    assert "no such file" in capsys.readouterr().err and not out.exists()
    learned = make_policy()
    learned.weights["head.bias"][0] = float("nan")
    with pytest.raises(PolicyError, match="head.bias"):
        optimizer_file(learned)
