"""The exported file trains exactly like the library's controller, step by step."""

import pytest
import torch

from benchmarks.steps import FixedBatch
from checkpoints_to_source.train_file import train_file
from evaluate.run.counting import Recorder
from evaluate.submission import load
from policy.checkpoint import Policy
from policy.driver.run import run
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights
from tasks import Done, Variant, build_task

VARIANT = Variant("mlp", "digits", {"width": 8}, {"test": 100}, 32, 3, target=0.05)


class UntilATest(FixedBatch):
    """A task that ends at the first test, after which the clock decides what the policy sees."""

    def test(self, state):
        raise Done


def trained(train):
    """Return the losses of all steps, and the final weights."""
    torch.manual_seed(3)
    recorder = Recorder()
    task = UntilATest(build_task(VARIANT), recorder)
    with pytest.raises(Done):
        train(task)
    return [loss for _, loss in recorder.train_points], task.state


def test_exported_file_equals_the_library_step_by_step(tmp_path):
    spec = Spec()
    weights = initial_weights(spec, 0)
    weights["head.weight"].uniform_(-0.3, 0.3, generator=torch.Generator().manual_seed(1))
    path = tmp_path / "train.py"
    path.write_text(train_file(Policy(spec, weights)).source)
    exported = load(path)
    losses, ours = trained(lambda task: run(task, spec, weights))
    same, theirs = trained(exported.train)
    assert len(losses) > 40 and losses == same
    assert all(map(torch.equal, ours, theirs))
    assert losses[-1] < 0.7 * losses[0], "weights that hardly move would prove little"
    assert exported.learning_rates, "the rates are not recorded"
