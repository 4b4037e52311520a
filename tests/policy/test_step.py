"""The functional and the in-place step compute the same, with and without batch axes."""

import functools
import math

import pytest
import torch

from policy.rule.layout import Layout, in_blocks
from policy.rule.orthogonal import orthogonal_direction
from policy.rule.signal import Signal
from policy.rule.spec import Spec
from policy.rule.step import learned_step, learned_step_, start_carry
from policy.rule.weights import initial_weights

SHAPES = [(32, 20), (32,), (4, 3, 3, 3), (), (0, 5), (10, 32), (10,)]
SPEC = Spec()


def talking_weights(dtype):
    """Return random weights whose rates differ by tensor and change over time."""
    weights = {name: w.to(dtype) for name, w in initial_weights(SPEC, 0).items()}
    generator = torch.Generator().manual_seed(1)
    for name in ("head.weight", "head.bias"):
        weights[name] = torch.randn(weights[name].shape, generator=generator, dtype=dtype) * 0.3
    return weights


def flat(carry):
    return [*carry.buffers, *carry.signal, *carry.memory, carry.step]


@pytest.mark.parametrize("lead", [(), (3,), (2, 2)])
def test_in_place_equals_functional_over_200_steps(lead):
    check_in_place_equals_functional(lead)


def test_in_place_equals_functional_in_blocks(monkeypatch):
    monkeypatch.setattr("policy.rule.layout.CACHED", 64)
    assert len(list(in_blocks(Layout(SHAPES).pack([torch.zeros(s) for s in SHAPES])))) > 5
    check_in_place_equals_functional(())


def check_in_place_equals_functional(lead):
    layout = Layout(SHAPES, dtype=torch.float64)
    weights = {k: v.expand(*lead, *v.shape) for k, v in talking_weights(torch.float64).items()}
    generator = torch.Generator().manual_seed(2)

    def noise():
        return [torch.randn((*lead, *s), generator=generator, dtype=torch.float64) for s in SHAPES]

    start = layout.pack(noise())
    pure = start_carry(SPEC, layout, start.clone())
    in_place = start_carry(SPEC, layout, start.clone())
    into = functools.partial(orthogonal_direction, out=torch.full_like(start, math.nan))
    for t in range(200):
        gradient = layout.pack(noise()) + 0.3 * pure.buffers.weight
        loss = torch.full(lead, 2.0 / (t + 1), dtype=torch.float64) + 0.01 * noise()[3]
        step = (SPEC, weights, layout)
        is_decision = t % SPEC.stride == 0
        pure = learned_step(*step, pure, gradient, loss, is_decision)
        in_place = learned_step_(*step, in_place, gradient, loss, is_decision, into)
        for a, b in zip(flat(pure), flat(in_place), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    rates = pure.memory.output
    assert rates.std() > 0.01, "a policy that never speaks would prove little"


def test_host_numbers_give_the_same_steps():
    """A submission keeps step and losses as Python floats."""
    layout = Layout(SHAPES, dtype=torch.float64)
    weights = talking_weights(torch.float64)
    generator = torch.Generator().manual_seed(2)

    def noise():
        return [torch.randn(s, generator=generator, dtype=torch.float64) for s in SHAPES]

    start = layout.pack(noise())
    tensors = start_carry(SPEC, layout, start.clone())
    numbers = start_carry(SPEC, layout, start.clone())
    numbers = numbers._replace(step=0.0, signal=Signal(*[0.0] * len(Signal._fields)))
    for t in range(200):
        gradient = layout.pack(noise()) + 0.3 * tensors.buffers.weight
        loss, is_decision = 2.0 / (t + 1) + 0.01 * float(noise()[3]), t % SPEC.stride == 0
        wide = torch.tensor(loss, dtype=torch.float64)
        step = (SPEC, weights, layout)
        tensors = learned_step_(*step, tensors, gradient, wide, is_decision)
        numbers = learned_step_(*step, numbers, gradient, loss, is_decision)
        both = zip(
            [*tensors.buffers, *tensors.memory], [*numbers.buffers, *numbers.memory], strict=True
        )
        for a, b in both:
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)
    assert torch.stack([*tensors.signal]).tolist() == pytest.approx(numbers.signal)


def test_functional_step_does_not_change_its_input():
    layout = Layout(SHAPES)
    weights = talking_weights(torch.float32)
    carry = start_carry(SPEC, layout, layout.pack([torch.ones(s) for s in SHAPES]))
    before = [t.clone() for t in flat(carry)]
    gradient = layout.pack([torch.ones(s) for s in SHAPES])
    learned_step(SPEC, weights, layout, carry, gradient, torch.tensor(1.0), True)
    for a, b in zip(before, flat(carry), strict=True):
        assert torch.equal(a, b)


def test_batched_particles_are_independent():
    layout = Layout(SHAPES, dtype=torch.float64)
    weights = talking_weights(torch.float64)
    generator = torch.Generator().manual_seed(3)
    tensors = [torch.randn((2, *s), generator=generator, dtype=torch.float64) for s in SHAPES]
    both = start_carry(SPEC, layout, layout.pack(tensors))
    alone = start_carry(SPEC, layout, layout.pack([t[1] for t in tensors]))
    twice = {k: v.expand(2, *v.shape) for k, v in weights.items()}
    for t in range(12):
        gradient = torch.randn(both.buffers.weight.shape, generator=generator).double()
        loss = torch.tensor([1.0, 2.0 - 0.1 * t], dtype=torch.float64)
        decision = t % SPEC.stride == 0
        both = learned_step(SPEC, twice, layout, both, gradient, loss, decision)
        alone = learned_step(SPEC, weights, layout, alone, gradient[1], loss[1], decision)
    for a, b in zip(flat(both), flat(alone), strict=True):
        torch.testing.assert_close(a[1], b, rtol=1e-10, atol=1e-12)


def test_zero_output_gives_normalised_momentum():
    """With zero output, a vector's step is base_rate times its direction."""
    layout = Layout([(3,)], dtype=torch.float64)
    weights = {k: v.double() for k, v in initial_weights(SPEC, 0).items()}
    w = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    carry = start_carry(SPEC, layout, layout.pack([w]))
    momentum, average = torch.zeros_like(w), w.clone()
    for t in range(1, 30):
        g = torch.sin(w + t)
        momentum = 0.9 * momentum + 0.1 * g
        carry = learned_step(SPEC, weights, layout, carry, layout.pack([g]), w.sum(), t % 5 == 1)
        # A vector's natural unit is 1, a matrix's is its initial RMS over 0.1.
        nesterov = 0.9 * momentum + 0.1 * g
        normalised = nesterov * 3**0.5 / nesterov.norm()
        w = w - SPEC.base_rate * normalised
        average = average + 10 / (t + 9) * (w - average)
        torch.testing.assert_close(layout.unpack(carry.buffers.weight)[0], w)
        torch.testing.assert_close(layout.unpack(carry.buffers.average)[0], average)


def test_unroll_differentiates_with_respect_to_the_policy():
    layout = Layout([(2, 3), (2,)], dtype=torch.float64)
    base = talking_weights(torch.float64)

    def final(head):
        carry = start_carry(SPEC, layout, layout.pack([torch.ones(2, 3), torch.ones(2)]))
        for t in range(6):
            gradient = (
                carry.buffers.weight
                * torch.arange(1.0, 9.0, dtype=torch.float64)[: layout.width].repeat(
                    1, layout.width // 8 + 1
                )[:, : layout.width]
            )
            loss = carry.buffers.weight.square().sum()
            weights = {**base, "head.bias": head}
            carry = learned_step(SPEC, weights, layout, carry, gradient, loss, t % 5 == 0)
        return carry.buffers.average.square().sum()

    head = torch.tensor([0.1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(final, (head,), eps=1e-6, atol=1e-8)
