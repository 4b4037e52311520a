"""The controller's features of the loss: height, depth, pace and excess."""

import math

import pytest
import torch

from policy.rule.controller import decide
from policy.rule.layout import Layout
from policy.rule.signal import Signal, bouncing, global_features, observe, restraint
from policy.rule.spec import Spec
from policy.rule.step import learned_step, start_carry
from policy.rule.weights import initial_weights

HEIGHT, TIME, PACE, DEPTH = 0, 3, 4, 5
NONE = torch.zeros((), dtype=torch.float64)


def signal_after(losses):
    signal = Signal(*[0.0] * len(Signal._fields))
    for step, loss in enumerate(losses, 1):
        signal = observe(signal, float(step), loss)
    return signal


def features_after(losses, excess=NONE):
    features = global_features(signal_after(losses), float(len(losses)), excess)
    return features.tolist()


def test_pace_is_relative_to_the_length_of_the_run():
    """Curves of the same shape have the same pace, whether over 300 steps or 30,000."""
    short, long = ([math.exp(-2 * t / n) for t in range(n)] for n in (300, 30_000))
    first, second = features_after(short)[PACE], features_after(long)[PACE]
    assert first == pytest.approx(second, rel=0.05) and first > 0.1


def test_constant_loss_has_no_pace():
    assert features_after([1.0] * 50 + [0.5] * 3000)[PACE] == pytest.approx(0, abs=1e-3)


def test_time_feature_saturates_at_three_thousand_steps():
    signal = signal_after([1.0, 0.5])
    before, then, later = (
        global_features(signal, step, NONE)[TIME].item() for step in (2900.0, 3000.0, 1e5)
    )
    assert before < then == later


def test_depth_is_the_loss_on_a_log_scale():
    high, low, none = (features_after([1.0] + [level] * 2000)[DEPTH] for level in (0.5, 0.05, 0.0))
    assert high - low == pytest.approx(low - none, rel=0.3) and high > low > none


def test_height_falls_with_the_loss_from_the_first_one():
    seen = [features_after([3.0] * 3 + [0.0] * count)[HEIGHT] for count in (0, 3, 9, 200)]
    assert seen[0] == pytest.approx(math.asinh(10) / 3) and seen[-1] == pytest.approx(0, abs=1e-3)
    assert sorted(seen, reverse=True) == seen


def test_excess_is_what_the_average_would_gain(monkeypatch, unrestrain):
    """On a bowl with noisy gradients live weights stay off the floor; averaged ones don't."""
    unrestrain()
    monkeypatch.setattr("policy.rule.controller.FARTHEST_AIM", math.inf)
    spec, layout = Spec(), Layout([(40,)], dtype=torch.float64)
    weights = {n: w.double() for n, w in initial_weights(spec, 0).items()}
    carry = start_carry(spec, layout, layout.pack([torch.zeros(40, dtype=torch.float64)]))
    generator = torch.Generator().manual_seed(0)
    live, averaged = [], []
    for step in range(1500):
        weight = carry.buffers.weight
        noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
        noisy = layout.unpack(weight + 0.2 * noise)
        gradient = layout.pack(noisy)
        loss = weight.square().sum() / 2
        carry = learned_step(spec, weights, layout, carry, gradient, loss, step % 5 == 0)
        live.append(loss)
        averaged.append(carry.buffers.average.square().sum() / 2)
    gained = float(sum(live[-150:]) - sum(averaged[-150:])) / 150
    # To first order, that is twice the difference for a quadratic.
    assert float(carry.memory.excess) == pytest.approx(2 * gained, rel=0.3)
    assert decide(spec, weights, layout, carry, gradient, gradient).excess.isfinite()


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(
    "loss, excess, share",
    [
        (1.0, 0.0, 0.0),
        (1.0, 0.5, 0.5),
        (0.0, 1e-6, 1.0),  # of the first one
        (1.0, -0.5, 0.0),
        (1.0, 5.0, 0.0),  # above this loss
        (1.0, math.nan, 0.0),
    ],
)
def test_bouncing_is_the_excess_share_of_the_loss(unit, loss, excess, share):
    signal = signal_after([unit] + [unit * loss] * 3000)
    found = bouncing(signal, unit * torch.tensor(excess), 1e-6)
    assert float(found) == pytest.approx(math.tanh(share), abs=1e-3)


@pytest.mark.parametrize(
    "loss, share, fall",
    [
        (1.0, 0.2, 4 * math.tanh(0.2) ** 2),
        (1.0, 2.0, 8 * math.tanh(2.0) ** 8),
        (1e-4, 0.2, 0.0),  # noise in the data would be memorised sooner
        (1e-4, 2.0, 8 * math.tanh(2.0) ** 8),
    ],
)
def test_restraint_spares_small_losses_of_which_half_bounces(loss, share, fall):
    signal = signal_after([1.0] + [loss] * 3000)
    found = restraint(signal, torch.tensor(signal.recent * share))
    assert float(found) == pytest.approx(fall, rel=0.02, abs=2e-3)
