"""How much of what is learned counts: decided once, by how much the loss varied at first."""

import math

import pytest
import torch

from metalearn.prior import first_policy
from policy import controller
from policy.controller import rates_of
from policy.layout import Layout
from policy.spec import DIRECTIONS, GLOBAL_FEATURES, Spec
from policy.step import learned_step, start_carry
from policy.trust import NOISE, trust_after
from policy.weights import initial_weights

SPEC = Spec(first_trust=0.5, trusted_noise=0.25, trust_width=0.06)
LAYOUT = Layout([(8, 4), (8,)], dtype=torch.float64)


def noisy(value):
    features = torch.zeros(GLOBAL_FEATURES, dtype=torch.float64)
    features[NOISE] = value
    return features


@pytest.mark.parametrize("as_tensor", [False, True])
def test_it_is_decided_at_the_second_decision_alone(as_tensor):
    before = torch.tensor(0.3, dtype=torch.float64)
    for step in range(1, 60, SPEC.stride):
        count = torch.tensor(float(step)) if as_tensor else float(step)
        after = trust_after(SPEC, count, before, noisy(0.25))
        assert after == (0.5 if step == 1 + SPEC.stride else 0.3), step


def test_the_less_noise_the_more_trust():
    shares = [trust_after(SPEC, 6.0, torch.zeros(()), noisy(x)) for x in (0.0, 0.2, 0.3, 0.6)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.95 and shares[-1] < 0.05


def talking_weights():
    generator = torch.Generator().manual_seed(3)
    weights = initial_weights(SPEC, 0)
    draw = {
        n: torch.randn(w.shape, generator=generator, dtype=torch.float64) / 10
        for n, w in weights.items()
    }
    return {n: w.double() + draw[n] for n, w in weights.items()}


def memories(spec, weights, swing=0.0, steps=30):
    """Those after each step on noise; the loss falls from 2 by a third, and swings from the second
    step on."""
    carry = start_carry(spec, LAYOUT, LAYOUT.pack(noise(0)))
    for t in range(steps):
        loss = torch.tensor(2.0 - 0.1 * t / steps, dtype=torch.float64) + swing * (t % 2)
        gradient = LAYOUT.pack(noise(t + 1))
        is_decision = t % spec.stride == 0
        carry = learned_step(
            spec, weights, LAYOUT, carry, gradient, loss, torch.tensor(1.0), is_decision
        )
        yield carry.memory


def noise(seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(s, generator=generator, dtype=torch.float64) for s in LAYOUT.shapes]


def test_by_default_all_of_it_counts_to_the_bit():
    for memory in memories(Spec(), talking_weights()):
        assert memory.trust == 1.0
        assert torch.equal(memory.log_rate, memory.output)


def test_without_trust_the_rates_are_those_that_meta_training_begins_from(monkeypatch):
    monkeypatch.setattr(controller, "RISE", math.inf)  # of the policy's output, not of the rule's
    spec, weights = first_policy(0)
    rule = {name: weight.double() for name, weight in weights.items()}
    doubting = spec._replace(first_trust=0.0, trusted_noise=-100.0)
    pairs = zip(memories(doubting, talking_weights()), memories(spec, rule), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(rates_of(doubting, ours), rates_of(spec, theirs))
        assert (ours.output - theirs.output).abs().max() > 0.01, "a policy that never speaks"


def test_rates_begin_between_the_rule_and_the_policy_and_end_at_one_of_them():
    steady, swinging = (list(memories(SPEC, talking_weights(), swing)) for swing in (0.0, 0.5))
    first = SPEC.stride - 1
    for run in (steady, swinging):
        assert run[first].trust == 0.5
        assert run[-1].trust == run[SPEC.stride].trust, "it changed its mind"
        assert run[0].log_rate.shape == (len(LAYOUT), DIRECTIONS)
    assert steady[-1].trust > 0.95 and swinging[-1].trust < 0.05
    torch.testing.assert_close(steady[-1].log_rate, steady[-1].output, rtol=0.1, atol=0.1)


def test_each_network_of_many_has_its_own():
    steps = torch.tensor([6.0, 6.0, 11.0])
    shared = torch.stack([noisy(0.0), noisy(1.0), noisy(1.0)])
    trust = trust_after(SPEC, steps, torch.full((3,), 0.5, dtype=torch.float64), shared)
    assert trust[0] > 0.95 and trust[1] < 0.05 and trust[2] == 0.5
