"""The JAX peer computes the same as torch."""

import math

import pytest
import torch

pytest.importorskip("jax", reason="extra `benchmarks`")

from benchmarks.jax_networks import NETWORKS  # noqa: E402
from benchmarks.jax_step import JaxRollout, to_torch  # noqa: E402
from benchmarks.throughput import SPEC, start  # noqa: E402
from metalearn.episodes import Pool  # noqa: E402
from metalearn.rollout import Rollout  # noqa: E402
from policy.rule import orthogonal  # noqa: E402
from policy.rule.update import Buffers  # noqa: E402
from tasks import sample_group  # noqa: E402

NOISE = 1e-12  # a squared momentum
# Relative error of the norms of changes, not of single entries: orthogonalisation magnifies the
# rounding of small singular values, and so that of a few weights.
TOLERANCE = 0.02


@pytest.mark.parametrize("family", sorted(NETWORKS))
def test_steps_in_jax_equal_torchs(family, monkeypatch):
    """Test losses, optimizer state and rates of three particles agree over two decisions.

    Both use polynomials for the orthogonal direction, since the inverses on a CPU differ a little.
    """
    monkeypatch.setattr(orthogonal, "INVERSES_FROM", math.inf)
    pool = Pool(sample_group(family, 0, 2), 5, 5, 0)
    rollout = Rollout(pool, SPEC)
    particles, weights, indices = start(rollout, 3, 0)
    call = JaxRollout(pool, SPEC, particles, weights, indices)
    before = particles.carry.buffers.weight.clone()
    for _ in range(2):
        theirs = to_torch(call())
        rollout.advance(particles, weights, indices)
        torch.testing.assert_close(theirs, particles.tested, rtol=1e-3, atol=1e-4)
    carry, state = particles.carry, call.state
    # Biases before batch norm and biases of keys have gradients of pure rounding: skip them.
    known = [m.square() > NOISE for m in rollout.layout.unpack(carry.buffers.momentum)]
    states = state.weight, state.momentum, state.average
    starts = before, torch.zeros_like(before), before
    for name, a, b, first in zip(Buffers._fields, states, carry.buffers, starts, strict=True):
        ours, begun = rollout.layout.unpack(b), rollout.layout.unpack(first)
        for x, y, z, mask in zip(a, ours, begun, known, strict=True):
            moved = (y - z)[mask].norm()
            assert (to_torch(x) - y)[mask].norm() <= TOLERANCE * moved, name
            assert moved > 0 or not mask.any()
    tensors = [i for i, mask in enumerate(known) if mask.any()]
    assert len(tensors) > len(known) / 2
    outputs = to_torch(state.memory.output)[:, tensors], carry.memory.output[:, tensors]
    torch.testing.assert_close(*outputs, rtol=1e-2, atol=2e-3)
