"""The controller's inputs, its memory, and the bounds of its output."""

import math

import pytest
import torch

from policy.rule.controller import FARTHEST_AIM, RISE, decide, rates_of
from policy.rule.features import overshoot, tensor_features, tensor_sums
from policy.rule.layout import Layout
from policy.rule.orthogonal import orthogonal_direction
from policy.rule.signal import global_features, observe
from policy.rule.spec import GLOBAL_FEATURES, TENSOR_FEATURES, Spec
from policy.rule.step import learned_step, start_carry
from policy.rule.units import SPECTRAL, _shape_factors, natural_units
from policy.rule.update import accumulate
from policy.rule.weights import flatten, initial_weights, unflatten

SPEC = Spec()
SHAPES = [(8, 4), (8,), (3, 8)]


def one_decision(weights, memory, gradient_scale=1.0, loss=1.0, step=1.0):
    layout = Layout(SHAPES)
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(s, generator=generator) for s in SHAPES]
    carry = start_carry(SPEC, layout, layout.pack(tensors))
    gradient = gradient_scale * layout.pack([torch.randn(s, generator=generator) for s in SHAPES])
    carry = observed(carry, torch.tensor(step), torch.tensor(float(loss)), gradient)
    carry = carry if memory is None else carry._replace(memory=memory)
    direction = orthogonal_direction(layout, carry.buffers.momentum, gradient)
    return decide(SPEC, weights, layout, carry, gradient, direction)


def observed(carry, step, loss, gradient):
    """Return the carry that a decision at this step sees."""
    buffers = accumulate(carry.buffers, gradient)
    return carry._replace(step=step, buffers=buffers, signal=observe(carry.signal, step, loss))


def test_lstm_state_persists_and_resets():
    weights = initial_weights(SPEC, 0)
    first = one_decision(weights, None)
    second = one_decision(weights, first)
    assert not torch.allclose(first.hidden, second.hidden), "the second decision forgot the first"
    assert torch.equal(one_decision(weights, None).hidden, first.hidden), "a reset is not complete"


def test_features_are_invariant_to_the_scale_of_the_loss():
    layout = Layout(SHAPES, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)

    def features(factor):
        generator.manual_seed(0)
        draw = [torch.randn(s, generator=generator, dtype=torch.float64) for s in SHAPES]
        carry = start_carry(SPEC, layout, layout.pack(draw))
        for t in range(1, 4):
            gradient = factor * layout.pack(
                [torch.randn(s, generator=generator, dtype=torch.float64) for s in SHAPES]
            )
            step = torch.tensor(float(t), dtype=torch.float64)
            carry = observed(carry, step, factor * (3 - step / 2), gradient)
        direction = orthogonal_direction(layout, carry.buffers.momentum, gradient)
        rates = torch.full((3,), 1e-3, dtype=torch.float64)
        excess = torch.tensor(factor * 0.05, dtype=torch.float64)
        sums = tensor_sums(layout, carry, gradient, direction)
        return (
            tensor_features(layout, carry.step, sums, rates, overshoot(sums)),
            global_features(carry.signal, carry.step, excess),
        )

    for a, b in zip(features(1.0), features(100.0), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
    assert features(1.0)[0].shape == (3, TENSOR_FEATURES)
    assert features(1.0)[1].shape == (GLOBAL_FEATURES,)


@pytest.mark.parametrize("rate, sign", [(1e-3, -1), (0.3, 1)])
def test_overshoot_separates_short_from_long_steps(rate, sign):
    """On a noisy bowl, with one value per tensor: the first has the rate, the second zero."""
    spec = Spec(base_rate=1.0)
    layout = Layout([(50,), (50,)], dtype=torch.float64)
    silent = {name: torch.zeros_like(w).double() for name, w in initial_weights(spec, 0).items()}
    start = torch.ones(50, dtype=torch.float64)
    carry = start_carry(spec, layout, layout.pack([start, start]))
    unit = torch.tensor([rate, 0.0], dtype=torch.float64)
    carry = carry._replace(memory=carry.memory._replace(unit=unit), rates=layout.per_row(unit))
    generator = torch.Generator().manual_seed(0)
    for step in range(300):
        weights = layout.unpack(carry.buffers.weight)
        noise = [torch.randn(50, generator=generator, dtype=torch.float64) for _ in weights]
        gradient = layout.pack([w + 0.5 * n for w, n in zip(weights, noise, strict=True)])
        loss = carry.buffers.weight.square().sum() / 2
        is_decision = step % spec.stride == 0
        carry = learned_step(spec, silent, layout, carry, gradient, loss, is_decision)
    moved, still = carry.memory.overshot.tolist()
    assert sign * moved > 0.1 and still == 0.0


def test_rates_stay_finite_and_bounded_on_hostile_input():
    weights = {k: 100 * torch.ones_like(v) for k, v in initial_weights(SPEC, 0).items()}
    for scale, loss in ((0.0, 1.0), (1e30, 1.0), (math.nan, 1.0), (1.0, math.inf), (1.0, math.nan)):
        memory = one_decision(weights, None, scale, loss)
        assert torch.isfinite(memory.output).all()
        assert memory.output.abs().max() <= 7


def test_rates_rise_by_a_bounded_factor_after_the_first_decision_and_fall_freely():
    zeros = {name: torch.zeros_like(value) for name, value in initial_weights(SPEC, 0).items()}
    high = {**zeros, "head.bias": torch.ones(1)}
    low = {**zeros, "head.bias": -torch.ones(1)}
    first = one_decision(high, None)
    assert torch.allclose(first.output, torch.tensor(SPEC.gain))
    fallen = one_decision(low, first, step=6.0)
    assert torch.allclose(fallen.output, torch.tensor(-SPEC.gain))
    risen = one_decision(high, fallen, step=11.0)
    assert torch.allclose(risen.output, torch.tensor(RISE - SPEC.gain))


@pytest.mark.parametrize("lead", [(), (2,)])
def test_bouncing_loss_lowers_rates(lead):
    layout = Layout(SHAPES)
    weight = layout.pack([torch.ones(lead + shape) for shape in SHAPES])
    memory = start_carry(SPEC, layout, weight).memory
    bounced = memory._replace(restraint=torch.full(lead, 0.5))
    fallen = rates_of(SPEC, bounced) / rates_of(SPEC, memory)
    torch.testing.assert_close(fallen, torch.full(lead + (3,), math.exp(-0.5)))


def test_noise_of_live_weights_lowers_rates(unrestrain):
    """Noise lowers rates at the bottom of a bowl, but not on the way there."""
    spec, layout = Spec(base_rate=0.1), Layout([(50,)], dtype=torch.float64)
    silent = {name: torch.zeros_like(w).double() for name, w in initial_weights(spec, 0).items()}

    def run():
        carry = start_carry(spec, layout, layout.pack([3 * torch.ones(50, dtype=torch.float64)]))
        generator, bounced, losses = torch.Generator().manual_seed(0), [], []
        for step in range(400):
            (weight,) = layout.unpack(carry.buffers.weight)
            noise = torch.randn(50, generator=generator, dtype=torch.float64)
            gradient, loss = layout.pack([weight + 0.3 * noise]), weight.square().sum() / 2
            arguments = carry, gradient, loss, step % spec.stride == 0
            carry = learned_step(spec, silent, layout, *arguments)
            bounced.append(float(carry.memory.restraint))
            losses.append(float(loss))
        return bounced, sum(losses[-100:])

    bounced, restrained = run()
    assert max(bounced[:30]) < 0.01 and min(bounced[-200:]) > 0.15
    unrestrain()
    assert restrained < 0.9 * run()[1]


@pytest.mark.parametrize("multiplier", [1.0, 0.1])
def test_no_step_aims_beyond_a_share_of_the_loss(multiplier):
    """The first step of a linear loss falls as far as it aims."""
    layout = Layout(SHAPES, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    weights = {name: w.double() for name, w in initial_weights(SPEC, 0).items()}
    start, slope = (
        layout.pack([torch.randn(s, generator=generator, dtype=torch.float64) for s in SHAPES])
        for _ in range(2)
    )

    def share_taken(loss):
        carry = start_carry(SPEC, layout, start.clone())._replace(multiplier=multiplier)
        loss = torch.tensor(loss, dtype=torch.float64)
        carry = learned_step(SPEC, weights, layout, carry, slope, loss, True)
        return float((slope * (start - carry.buffers.weight)).sum() / loss)

    free = share_taken(1e6) * 1e6  # far from the bound
    assert share_taken(100 * free) == pytest.approx(0.01)
    assert share_taken(2 * free) == pytest.approx(1.1 * FARTHEST_AIM)  # with a tenth of the first
    assert share_taken(free / 50) == pytest.approx(1.1 * FARTHEST_AIM)
    assert share_taken(free / 200) == pytest.approx(200)  # of another loss


@pytest.mark.parametrize("losses", [(0.0,), (-1e-3,), (1.0, -1.0, 1.0, -1.0)])
def test_losses_without_a_bound_bound_no_step(losses):
    layout = Layout(SHAPES)
    gradient = 1e3 * layout.pack([torch.ones(s) for s in SHAPES])
    carry = start_carry(SPEC, layout, gradient.clone())
    for loss in losses:
        arguments = carry, gradient, torch.tensor(loss), True
        carry = learned_step(SPEC, initial_weights(SPEC, 0), layout, *arguments)
    assert carry.memory.overreach == 0.0


def test_flatten_and_unflatten_are_inverse():
    weights = initial_weights(SPEC, 5)
    back = unflatten(SPEC, flatten(SPEC, weights).expand(2, -1))
    for name, value in weights.items():
        assert torch.equal(back[name][1], value)


def test_natural_units_follow_scale_and_shape_of_matrices_only():
    layout = Layout([(64, 100), (64,), (4, 4), (5, 5, 5), ()])
    weight = layout.pack(
        [0.05 * torch.ones(64, 100), torch.ones(64), 9 * torch.ones(4, 4), torch.zeros(5, 5, 5),
         torch.tensor(3.0)]
    )  # fmt: skip
    # RMS over 0.1, bounded above; least 1 / sqrt(3 fan-in) / 0.1; vectors 1.
    scale = torch.tensor([300**-0.5 * 10, 1.0, 4.0, 75**-0.5 * 10, 1.0])
    # Share of the spectral norm, for a square matrix and for a wide one, whose norm is smaller.
    spectral = torch.tensor([(1 + 0.8) / 2, 1, 1, (1 + 0.2**0.5) / 2, 1])
    spectral[0] *= (33 / 64) ** 0.5  # wide, so restrained
    spectral = torch.where(layout.is_matrix, SPECTRAL * spectral, torch.ones(5))
    torch.testing.assert_close(natural_units(layout, weight), scale * spectral)


def test_units_shrink_from_narrow_to_wide():
    layout = Layout([(100, 100), (1600, 1600)])
    narrow, wide = natural_units(
        layout, layout.pack([torch.full((n, n), n**-0.5) for n in (100, 1600)])
    )
    assert narrow / wide == pytest.approx(16, rel=1e-4)


def test_unit_of_wide_matrices_but_not_of_filters_is_restrained():
    layout = Layout([(132, 132), (33, 33), (528, 528), (132, 132, 1, 1), (132,)])
    expected = torch.tensor([0.5, 1.0, 0.25, 1.0]) * SPECTRAL
    torch.testing.assert_close(_shape_factors(layout)[:4], expected)


def test_momentum_length_separates_signal_from_noise():
    """Momentum has the direction and length of equal gradients, but not of independent ones."""
    layout, generator = Layout([(400,)]), torch.Generator().manual_seed(0)
    seen = []
    for is_noise in (0.0, 1.0):
        carry = start_carry(SPEC, layout, layout.pack([torch.ones(400)]))
        for step in range(1, 60):
            noise = torch.randn(400, generator=generator)
            gradient = layout.pack([torch.ones(400) + is_noise * (noise - 1)])
            carry = observed(carry, torch.tensor(float(step)), torch.tensor(1.0), gradient)
        sums = tensor_sums(layout, carry, gradient, gradient)
        features = tensor_features(layout, carry.step, sums, torch.ones(1), overshoot(sums))
        seen.append(features[0])
    signal, noise = seen
    assert signal[:2].tolist() == pytest.approx([1.0, 1.0], abs=1e-3)
    assert signal[3].item() == pytest.approx(1.0, abs=1e-3)
    assert noise[0].item() < 0.6 and noise[3].item() == pytest.approx(-1.0, abs=0.2)


def test_small_initial_weights_have_the_unit_of_torchs_default():
    layout = Layout([(64, 48)])
    torch.manual_seed(0)
    usual = natural_units(layout, layout.pack([torch.nn.Linear(48, 64).weight]))
    for scale in (0.02, 0.0):
        found = natural_units(layout, layout.pack([scale * torch.randn(64, 48)]))
        torch.testing.assert_close(found, usual, rtol=0.05, atol=0)
    larger = natural_units(layout, layout.pack([0.2 * torch.randn(64, 48)]))
    assert (larger > 2 * usual).all()


def test_multiplier_scales_rates_and_controller_inputs():
    weights = initial_weights(SPEC, 0)
    layout = Layout(SHAPES)
    generator = torch.Generator().manual_seed(0)
    weight, gradient = (
        layout.pack([torch.randn(s, generator=generator) for s in SHAPES]) for _ in range(2)
    )
    gradient *= 1e-3  # far from what a step may aim at
    found = []
    for factor in (1.0, 0.5):
        carry = start_carry(SPEC, layout, weight.clone())._replace(multiplier=factor)
        for step in range(2):
            loss = torch.tensor(1.0 - 0.1 * step)
            carry = learned_step(SPEC, weights, layout, carry, gradient, loss, True)
        found.append(carry)
    rates = layout.per_row(rates_of(SPEC, found[1].memory))
    torch.testing.assert_close(found[1].rates, 0.5 * rates)
    assert not torch.equal(found[0].memory.features, found[1].memory.features)
