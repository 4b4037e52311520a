"""Every peer trains through the real interface, whatever the oracles do with their storage."""

import dataclasses
import importlib.util
import math

import pytest
import torch

from evaluate import peers
from evaluate.errors import InputError
from evaluate.peers import PACKAGES, find_peers, path_of
from evaluate.submission import baseline, find_submissions, load
from tasks import Done, Variant, build_task

#: Convolutions, matrices and vectors, and batch-norm statistics that have to follow the weights.
DIGITS = Variant("cnn", "digits", arch={"norm": "batch"}, batch_size=64, seed=3)
STEPS = 180


def peer(name):
    """A peer's module, or a skipped test where its package is not installed."""
    if not peers.is_installed(name):
        pytest.skip(f"{name} needs {PACKAGES[name]}: {peers.MEND}")
    module = load(path_of(name))
    module.given = {"baseline_steps": STEPS}
    return module


class Reusing:
    """A task whose gradients come in the same storage each time, and are spoilt after use."""

    def __init__(self, task):
        self._task = task
        self.state, self.default_batch_size = task.state, task.default_batch_size
        self.target_test_loss = task.target_test_loss
        self.train_iterator, self.batch_loss = task.train_iterator, task.batch_loss
        self._gradients = [torch.zeros_like(weight) for weight in task.state]
        self.test_losses, self.steps = [], 0

    def batch_loss_and_gradient(self, batch):
        if self.steps == STEPS:
            raise Done
        self.steps += 1
        for kept in self._gradients:
            kept.fill_(math.nan)
        loss, gradients = self._task.batch_loss_and_gradient(batch)
        for kept, gradient in zip(self._gradients, gradients, strict=True):
            kept.copy_(gradient)
        return loss, self._gradients

    def test(self, state):
        self.test_losses.append(float(self._task.test(state)))


@pytest.mark.parametrize("name", ["adam", *PACKAGES])
def test_a_peer_trains_in_place(name):
    module = load(baseline().path) if name == "adam" else peer(name)
    torch.manual_seed(0)
    task = Reusing(build_task(dataclasses.replace(DIGITS, target=1e-9)))
    storage = [weight.data_ptr() for weight in task.state]
    first = float(task._task.test(task.state))
    try:
        module.train(task)
    except Done:
        assert name != "nadamw"
    assert task.steps == STEPS
    assert [weight.data_ptr() for weight in task.state] == storage
    # Mechanic and Prodigy feel their way up from a rate of next to nothing.
    assert task.test_losses[-1] < 0.9 * first, task.test_losses


def test_a_missing_package_is_left_out_of_all_and_named_when_asked_for(monkeypatch):
    def find_spec(package):
        return None if package == "prodigyopt" else object()

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    found, missing = find_peers(["all"])
    assert missing == ["prodigy"] and len(found) == len(PACKAGES) - 1
    assert find_peers(["muon", "dowg"]) == ([path_of("dowg"), path_of("muon")], [])
    with pytest.raises(InputError, match=r"--peers prodigy: package prodigyopt is missing; inst"):
        find_peers(["prodigy"])
    with pytest.raises(InputError, match="--peers rmsprop: no such peer; name some of all, sgd"):
        find_peers(["rmsprop"])


def test_a_peer_is_known_by_its_folder(tmp_path):
    copy = tmp_path / "dowg.py"
    copy.write_bytes(path_of("dowg").read_bytes())
    real, copied = find_submissions([path_of("dowg"), copy])
    assert real.is_peer and not copied.is_peer


def test_nadamw_needs_a_horizon():
    with pytest.raises(ValueError, match="needs the baseline's number of steps"):
        load(path_of("nadamw")).train(None)


def test_nadamw_warms_up_and_decays_to_nothing():
    rate = load(path_of("nadamw")).rate
    rates = [rate(step, 1000) for step in range(1, 1001)]
    assert max(rates) == rates[19] == pytest.approx(1.75e-3) and rates[9] == pytest.approx(0.875e-3)
    assert rates[509] == pytest.approx(0.875e-3, rel=1e-3) and rates[-1] == pytest.approx(0)
    assert rates[20:] == sorted(rates[20:], reverse=True)


def test_nadamw_equals_its_formula():
    module = load(path_of("nadamw"))
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(5, 3, generator=generator, dtype=torch.float64)
    weight = torch.ones(3, dtype=torch.float64)
    update = module.NAdamW([weight])
    expected, first, second = weight.clone(), torch.zeros(3), torch.zeros(3)
    for step, gradient in enumerate(gradients, 1):
        weight.grad = gradient.clone()
        update.step(100)
        first = 0.933 * first + 0.067 * gradient
        second = 0.9955 * second + 0.0045 * gradient**2
        ahead = (0.933 * first + 0.067 * gradient) / (1 - 0.933**step)
        scale = (second / (1 - 0.9955**step)).sqrt() + 1e-8
        rate = module.rate(step, 100)
        expected = (1 - rate * 0.081) * expected - rate * ahead / scale
        torch.testing.assert_close(weight, expected, rtol=1e-12, atol=1e-14)


def test_dowg_equals_its_formula(quadratic):
    weight = torch.ones(2)
    distance, weighted, path = 1e-4, 0.0, []
    for _ in range(6):
        distance = max(distance, float((weight - 1).norm()))
        weighted += distance**2 * float(weight.square().sum())
        weight = weight - distance**2 / math.sqrt(weighted) * weight
        path.append(weight)

    task, seen = quadratic(target=0.0, batches=2), []
    original = task.test

    def test(state):
        seen.append(state[0].clone())
        if len(seen) == 3:
            raise Done
        return original(state)

    task.test = test
    with pytest.raises(Done):
        load(path_of("dowg")).train(task)
    torch.testing.assert_close(torch.stack(seen), torch.stack(path[1::2]))


def test_adam_averaged_tests_the_average_in_the_model_and_goes_on_from_the_weights(quadratic):
    weight, average = torch.ones(2, requires_grad=True), torch.ones(2)
    optimizer = torch.optim.Adam([weight], lr=3e-3)
    averages = []
    for step in range(1, 7):
        weight.grad = weight.detach().clone()
        optimizer.step()
        average = average + 10 / (step + 9) * (weight.detach() - average)
        averages.append(average)

    task, seen = quadratic(target=0.0, batches=2), []

    def test(state):
        assert state[0] is task.state[0]
        seen.append(state[0].clone())
        if len(seen) == 3:
            raise Done

    task.test = test
    with pytest.raises(Done):
        load(path_of("adam_averaged")).train(task)
    torch.testing.assert_close(torch.stack(seen), torch.stack(averages[1::2]))
