"""The measurements behind the figure of the distribution."""

import pytest
import torch

from benchmarks.distribution import gradients, noise_over_signal, noise_scale, steps_to
from tasks import Variant, build_task


def test_noise_over_signal_matches_the_distribution():
    generator = torch.Generator().manual_seed(0)
    samples = 0.5 + 2 * torch.randn(400, 3000, generator=generator)
    assert noise_over_signal(samples) == pytest.approx(16, rel=0.05)
    assert noise_over_signal(torch.tensor([[1.0], [-1.0]])) is None


def test_larger_batches_are_less_noisy():
    small, large = (Variant("mlp", "digits", batch_size=size, target=0.5) for size in (4, 64))
    assert noise_scale(small) > 4 * noise_scale(large)


def test_gradients_are_kept_separately():
    found = gradients(build_task(Variant("mlp", "digits")))
    assert found.shape[0] == 32 and (found[0] != found[1]).any(), "oracles reuse their storage"


def test_steps_count_up_to_the_target():
    near, far = (steps_to(Variant("mlp", "digits", target=loss)) for loss in (1.5, 0.5))
    assert 0 < near < far <= 10_000
    assert 0 < steps_to(Variant("mlp", "digits")) <= 1000
