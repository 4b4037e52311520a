"""Ablated policies, and the mean rate over running episodes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import ablation
from benchmarks.ablation import compare, constant, mean_output, without_memory
from metalearn.validate import play
from policy.checkpoint import Policy
from policy.rule.controller import respond
from policy.rule.spec import FEATURES, Spec
from policy.rule.weights import flatten, initial_weights

SPEC = Spec()
OUTPUT = torch.tensor(0.3)


def test_mean_rate_of_a_constant_policy_is_its_rate(pool):
    weights = constant(initial_weights(SPEC, 0), SPEC, OUTPUT)
    found = mean_output([pool, pool], Policy(SPEC, weights), episodes=4)
    torch.testing.assert_close(found, OUTPUT, rtol=1e-4, atol=1e-5)


def test_decisions_without_memory_depend_only_on_inputs():
    generator = torch.Generator().manual_seed(0)
    weights = initial_weights(SPEC, 0)
    weights["head.weight"] = torch.randn(SPEC.hidden, 1, generator=generator)
    features = torch.randn(3, FEATURES, generator=generator)
    whole, reset = [], []
    for hidden in torch.zeros(3, SPEC.hidden), torch.randn(3, SPEC.hidden, generator=generator):
        memory = SimpleNamespace(hidden=hidden, cell=hidden, output=torch.zeros(3))
        for found, own in (whole, weights), (reset, without_memory(weights, SPEC)):
            found.append(respond(SPEC, own, memory, features, is_first=True)[-1])
    torch.testing.assert_close(*reset)
    assert (whole[0] - whole[1]).abs().max() > 0.01


def test_decisions_after_the_end_of_an_episode_do_not_count(monkeypatch):
    def particles(outputs, finished):
        memory = SimpleNamespace(output=torch.tensor(outputs)[:, None].expand(-1, 5))
        return SimpleNamespace(
            carry=SimpleNamespace(memory=memory), finished=lambda: torch.tensor(finished)
        )

    def play(pool, spec, theta, episodes, seed, watch):
        watch(particles([1.0, 2.0], [False, False]))
        watch(particles([6.0, 99.0], [False, True]))
        watch(particles([99.0, 99.0], [True, True]))

    monkeypatch.setattr(ablation, "play", play)
    found = mean_output([None], Policy(SPEC, initial_weights(SPEC, 0)), episodes=2)
    assert found.item() == 3.0


def test_every_decision_is_watched_until_all_episodes_end(pool):
    running = []
    theta = flatten(SPEC, initial_weights(SPEC, 0))
    play(pool, SPEC, theta, 4, 0, lambda p: running.append(int((~p.finished()).sum())))
    assert running[0] == 4 and running[-1] == 0 and sorted(running, reverse=True) == running


def test_doubling_all_times_halves_the_speed_with_a_tight_interval():
    reference = np.array([[0.1, 0.3, 0.5], [0.2, 0.4, 0.9]])
    found = compare(2 * reference, reference)
    assert found["relative"] == pytest.approx(0.5)
    assert found["relative_interval"] == pytest.approx([0.5, 0.5])
    low, high = found["interval"]
    assert found["speedup"] == pytest.approx(1.25) and low < found["speedup"] < high
    assert found["per_family"] == pytest.approx([1 / 0.6, 1.0])
