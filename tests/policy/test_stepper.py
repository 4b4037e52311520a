"""The stepper makes the rule's steps, and its multiplier scales all rates."""

import pytest
import torch

from policy.rule.layout import Layout
from policy.rule.spec import Spec
from policy.rule.step import learned_step, start_carry
from policy.rule.stepper import Stepper
from policy.rule.weights import initial_weights

SPEC = Spec()
SHAPES = [(4, 3), (5,)]


def started(weights=None):
    tensors = [torch.ones(shape) for shape in SHAPES]
    stepper = Stepper(SPEC, weights, tensors)
    stepper.start(stepper.layout.pack(tensors))
    return stepper


def gradient(stepper, step):
    return stepper.layout.pack([torch.full(shape, 1.0 + step % 3) for shape in SHAPES])


@pytest.mark.parametrize("is_learned", [True, False])
def test_steps_equal_the_rules(is_learned):
    weights = initial_weights(SPEC, 0)
    weights["head.bias"] += 0.2
    stepper, layout = started(weights if is_learned else None), Layout(SHAPES)
    carry = start_carry(SPEC, layout, layout.pack([torch.ones(shape) for shape in SHAPES]))
    for step in range(12):
        stepper.move(gradient(stepper, step), 2.0 / (step + 1))
        is_decision = is_learned and step % SPEC.stride == 0
        loss = torch.tensor(2.0 / (step + 1))
        arguments = SPEC, weights, layout, carry, gradient(stepper, step), loss, is_decision
        carry = learned_step(*arguments)
    for ours, packed in ((stepper.live, "weight"), (stepper.averaged, "average")):
        expected = layout.unpack(getattr(carry.buffers, packed))
        for one, other in zip(ours, expected, strict=True):
            torch.testing.assert_close(one, other)


def test_multiplier_replaces_the_previous_one():
    stepper = started()
    before = stepper.rates()
    for multiplier in (0.5, 2.0, torch.tensor([3.0, 0.25])):
        stepper.scale(multiplier)
        factors = torch.as_tensor(multiplier).expand(2).tolist()
        expected = [rate * factor for rate, factor in zip(before, factors, strict=True)]
        assert stepper.rates() == pytest.approx(expected)
        weight = stepper.live[1].clone()
        stepper.move(gradient(stepper, 0), 1.0)
        assert (weight - stepper.live[1]).mean() == pytest.approx(expected[1], rel=0.2)


def test_memory_changes_the_rates():
    stepper = started()
    before = stepper.rates()
    stepper.remember(unit=2 * stepper.carry.memory.unit)
    assert stepper.rates() == pytest.approx([2 * rate for rate in before])
