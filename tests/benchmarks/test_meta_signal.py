"""The statistics of the benchmark of meta-gradients: signal and luck."""

import pytest
import torch

from benchmarks import meta_signal
from benchmarks.meta_signal import _between, measure, signal, table
from benchmarks.origin import stamp
from policy.shipped import shipped_policy


def chains(strength, count=8, truncations=40, n=50):
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn(n, generator=generator)
    direction = direction / direction.norm()
    shape = count, truncations, n
    noise = torch.randn(shape, generator=generator) / n**0.5
    return list(strength * direction + noise)


def test_noise_has_neither_cosine_nor_ratio():
    found = signal(chains(0.0), 1e6)
    for name in ("cosine", "ratio"):
        value, low, high = found[name]
        assert low < 0 < high and abs(value) < 0.1, name


def test_signal_has_its_known_ratio():
    """With unit noise, a signal of norm s has the ratio `s^2 / (1 + s^2)`."""
    found = signal(chains(0.5), 1e6)
    value, low, high = found["ratio"]
    assert low < 0.2 < high and value == pytest.approx(0.2, rel=0.15)
    assert found["cosine"][0] > 0.8


def test_cheaper_estimate_has_a_higher_ratio():
    dear, cheap = (signal(chains(0.5), steps)["ratio"][0] for steps in (2e6, 1e6))
    assert cheap == pytest.approx(2 * dear)


def test_luck_is_the_variance_between_runs():
    generator = torch.Generator().manual_seed(0)
    usual = torch.randn(2000, generator=generator)
    one, two = (usual + torch.randn(2000, generator=generator) for _ in range(2))
    assert _between(one, two) == pytest.approx(0.5, abs=0.05)
    assert _between(usual, usual) == 0


def test_small_run_fills_both_tables(monkeypatch):
    for name, value in {"CHAINS": 3, "TRUNCATIONS": 1, "EPISODES": 2}.items():
        monkeypatch.setattr(meta_signal, name, value)
    rows = [row for kind in ("actions", None) for row in measure(("mlp", kind, shipped_policy()))]
    text = table({**stamp("cpu", 0), "rows": rows})
    assert text.count("| mlp |") == 2
