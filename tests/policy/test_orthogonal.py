"""The orthogonal direction against singular value decompositions."""

import math

import pytest
import torch

from policy.rule import orthogonal
from policy.rule.layout import CACHED, Layout
from policy.rule.orthogonal import (
    HALVES_FROM,
    INVERSES_FROM,
    POLES,
    RATIONAL,
    ROUNDS,
    orthogonal_direction,
    orthogonalise,
)

SHAPES = [(12, 30), (30, 12), (7,), (5, 3, 2, 2), (0, 4), (1, 9), (12, 30)]


def direction_of(gradients):
    layout = Layout(SHAPES, dtype=torch.float64)
    packed = layout.pack(gradients)
    return layout.unpack(orthogonal_direction(layout, 0.1 * packed, packed))


def draw(lead=(), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn((*lead, *s), generator=generator, dtype=torch.float64) for s in SHAPES]


@pytest.mark.parametrize("lead", [(), (2,)])
def test_no_direction_without_a_gradient(lead):
    """Otherwise its momentum would keep full length. One nonzero entry suffices, wherever it is."""
    layout = Layout(SHAPES, dtype=torch.float64)
    gradients = draw(lead)
    fast = layout.pack(draw(lead, seed=1))
    gradients[1].zero_()
    gradients[2].zero_()
    gradients[6].zero_()[..., 11, 17] = 1e-3
    found = layout.unpack(orthogonal_direction(layout, fast, layout.pack(gradients)))
    assert [bool(direction.any()) for direction in found] == [True, False, False, True, False] + [
        True
    ] * 2


def test_singular_vectors_stay_and_values_become_nearly_equal():
    for gradient, found in zip(draw(), direction_of(draw()), strict=True):
        if gradient.dim() < 2 or not gradient.numel():
            continue
        u, _, v = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
        core = u.T @ found.flatten(1) @ v.T
        longer = max(gradient.flatten(1).shape)
        values = core.diagonal() / longer**0.5
        assert (values - 1).abs().max() < 0.1
        torch.testing.assert_close(core, core.diagonal().diag(), rtol=0, atol=1e-9)


def with_values(values, sides, seed=0):
    """Return a matrix with these singular values and random singular vectors."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(n, n, generator=generator, dtype=torch.float64) for n in sides)
    core = torch.zeros(sides, dtype=torch.float64)
    core.diagonal().copy_(values)
    return torch.linalg.qr(left)[0] @ core @ torch.linalg.qr(right)[0]


@pytest.mark.parametrize("sides", [(20, 30), (30, 20), (INVERSES_FROM, 150), (150, INVERSES_FROM)])
def test_small_singular_values_are_lifted(sides):
    values = torch.full((min(sides),), 1 / 190, dtype=torch.float64)
    values[0] = 0.7  # most of the norm
    matrix = with_values(values / values.norm(), sides)
    lifted = torch.linalg.svdvals(orthogonalise([matrix[None]])[0]) / max(sides) ** 0.5
    assert (lifted - 1).abs().max() < 0.1


def test_polynomials_and_inverses_nearly_agree():
    x = torch.logspace(math.log10(1 / 200), math.log10(0.99), 2000, dtype=torch.float64)
    moved = x
    for a, b, c in ROUNDS:
        moved = a * moved + b * moved**3 + c * moved**5
    rational = RATIONAL * x * (1 + sum(weight / (x * x + shift) for weight, shift in POLES))
    assert (moved - 1).abs().max() < 0.1
    assert (rational - 1).abs().max() < 0.1
    slopes = math.prod(a for a, _, _ in ROUNDS), RATIONAL * (1 + sum(w / s for w, s in POLES))
    assert slopes[0] == pytest.approx(slopes[1], rel=0.05)


@pytest.mark.parametrize("sides", [(33, 50), (50, 32), (5, 48), (20, 9, 2)])
def test_blocks_are_orthogonalised_as_if_alone(sides):
    """Only the norm is that of the whole matrix."""
    layout = Layout([sides, (4,)], dtype=torch.float64)
    layout.divide(16)
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(sides, generator=generator, dtype=torch.float64)
    packed = layout.pack([matrix, torch.ones(4)])
    found = layout.unpack(orthogonal_direction(layout, 0.1 * packed, packed))[0].flatten(1)
    whole = matrix.flatten(1) / matrix.norm() / 1.01
    axis = 1 if whole.shape[0] > whole.shape[1] else 0
    parts = math.ceil(min(whole.shape) / 16)
    for block, part in zip(
        whole.tensor_split(parts, axis), found.tensor_split(parts, axis), strict=True
    ):
        torch.testing.assert_close(part, orthogonalise([block[None]])[0][0])
        values = torch.linalg.svdvals(part) / max(part.shape) ** 0.5
        assert (values - 1).abs().max() < 0.1


@pytest.mark.parametrize("sides", [(2 * HALVES_FROM + 1, 600), (600, HALVES_FROM)])
def test_large_matrices_are_multiplied_in_halves(sides):
    u, _, v = torch.linalg.svd(with_values(torch.ones(min(sides)).double(), sides), False)
    (found,) = orthogonalise([(0.5 * u @ v)[None]])
    value = 0.5 * RATIONAL * (1 + sum(weight / (0.25 + shift) for weight, shift in POLES))
    torch.testing.assert_close(found[0], value * max(sides) ** 0.5 * u @ v)


def on_a_cpu(monkeypatch, **has):
    """Pretend that the CPU has only these fast products."""
    for name, value in has.items():
        monkeypatch.setattr(f"policy.rule.orthogonal.{name}", lambda value=value: value)


@pytest.mark.parametrize("side", [8, INVERSES_FROM - 1, INVERSES_FROM])
def test_float32_agrees_with_float64(side, monkeypatch):
    on_a_cpu(monkeypatch, has_bfloat16=False, has_tiles=False)
    matrix = with_values(torch.logspace(-6, -0.01, side, dtype=torch.float64), (side, 2 * side))
    (exact,), (found,) = orthogonalise([matrix[None]]), orthogonalise([matrix[None].float()])
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=2e-3)


@pytest.mark.parametrize("sides", [(INVERSES_FROM, 150), (150, INVERSES_FROM)])
def test_large_matrices_use_bfloat16_if_it_is_fast(sides, monkeypatch):
    values = torch.logspace(0, -2.2, min(sides), dtype=torch.float64)
    matrix = with_values(values / values.norm(), sides)[None]
    fine, coarse = [], []
    for found, is_fast in ((fine, False), (coarse, True)):
        on_a_cpu(monkeypatch, has_bfloat16=is_fast, has_tiles=False)
        found += orthogonalise([matrix.float()]) + orthogonalise([matrix])
    assert coarse[0].dtype == torch.bfloat16, "half the memory to write"
    difference = coarse[0].float() - fine[0]
    assert 0 < difference.norm() / fine[0].norm() < 0.03
    assert torch.linalg.matrix_norm(difference, 2) / max(sides) ** 0.5 < 0.12
    assert torch.equal(coarse[1], fine[1]), "float64 stays"


@pytest.mark.parametrize("sides", [(150, INVERSES_FROM), (INVERSES_FROM, 150), (128, 400)])
def test_large_matrices_use_bfloat16_polynomials_with_tiles(sides, monkeypatch):
    values = torch.logspace(0, -2.2, min(sides), dtype=torch.float64)
    matrix = with_values(values / values.norm(), sides)[None]
    on_a_cpu(monkeypatch, has_bfloat16=True, has_tiles=True)
    (found,), (kept,) = orthogonalise([matrix.float()]), orthogonalise([matrix])
    assert found.dtype == torch.bfloat16 and kept.dtype == torch.float64
    monkeypatch.setattr("policy.rule.orthogonal.INVERSES_FROM", math.inf)
    (exact,) = orthogonalise([matrix])
    is_wide = max(sides) > 2 * min(sides)  # one round fewer uses the matrix itself
    assert (found - exact).norm() / exact.norm() < (0.12 if is_wide else 0.04)


def test_small_matrices_keep_float32(monkeypatch):
    on_a_cpu(monkeypatch, has_bfloat16=True, has_tiles=True)
    assert orthogonalise([torch.eye(INVERSES_FROM - 1)[None] / 2])[0].dtype == torch.float32


def test_polynomials_are_evaluated_in_cache_sized_groups(monkeypatch):
    """As many are evaluated at a time as fit in a CPU's cache."""
    counts, evaluate = [], orthogonal._polynomial
    monkeypatch.setattr(
        orthogonal, "_polynomial", lambda gram: counts.append(len(gram)) or evaluate(gram)
    )
    generator = torch.Generator().manual_seed(0)
    stack = torch.randn(3 * (CACHED // 90**2) + 1, 90, 95, generator=generator) / 190
    (found,) = orthogonalise([stack])
    assert counts == [CACHED // 90**2] * 3 + [1]
    alone = [orthogonalise([matrix[None]])[0] for matrix in stack]
    torch.testing.assert_close(found, torch.cat(alone))


@pytest.mark.parametrize("side", [8, INVERSES_FROM])
@pytest.mark.parametrize("bad", [1e30, math.nan])
def test_bad_matrix_does_not_affect_others(side, bad):
    """A matrix too large for its squares has no direction; NaN stays NaN."""
    layout = Layout([(side, side)] * 2)
    gradient = layout.pack([torch.full((side, side), bad), torch.eye(side)])
    spoiled, sound = layout.unpack(orthogonal_direction(layout, 0.1 * gradient, gradient))
    assert spoiled.isnan().any() if math.isnan(bad) else not spoiled.any()
    assert sound.diagonal().min() > 0.85 * side**0.5


def rounded(tensor):
    """Return the tensor rounded to ten mantissa bits, like TF32."""
    bits = tensor.contiguous().view(torch.int32)
    return ((bits + (1 << 12)) & -(1 << 13)).view(torch.float32)


@pytest.mark.parametrize("sides", [(20, 30), (INVERSES_FROM - 1, 150)])
def test_ten_bits_are_enough_for_products(sides, monkeypatch):
    values = torch.logspace(0, -2.2, min(sides), dtype=torch.float64)
    matrix = with_values(values / values.norm(), sides).float()[None]
    fine = orthogonalise([matrix])[0] / max(sides) ** 0.5
    bmm, baddbmm = torch.bmm, torch.baddbmm
    monkeypatch.setattr(torch, "bmm", lambda a, b: bmm(rounded(a), rounded(b)))
    monkeypatch.setattr(
        torch, "baddbmm", lambda c, a, b, **scales: baddbmm(c, rounded(a), rounded(b), **scales)
    )
    coarse = orthogonalise([matrix])[0] / max(sides) ** 0.5
    assert 0 < (coarse - fine).abs().max() < 0.01
    torch.testing.assert_close(*map(torch.linalg.svdvals, (coarse, fine)), rtol=0, atol=0.02)


def test_vectors_only_change_length():
    gradients = draw()
    vector = gradients[2]
    torch.testing.assert_close(direction_of(gradients)[2], vector * 7**0.5 / vector.norm())


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_scale_of_the_gradient_does_not_matter(factor):
    scaled = direction_of([factor * g for g in draw()])
    for a, b in zip(direction_of(draw()), scaled, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_no_direction_from_zero_gradients():
    for found in direction_of([torch.zeros_like(g) for g in draw()]):
        assert not found.any()


def test_particles_are_independent():
    together = direction_of(draw((3,)))
    second = direction_of([g[1] for g in draw((3,))])
    for a, b in zip(together, second, strict=True):
        torch.testing.assert_close(a[1], b)


@pytest.mark.parametrize("shapes", [[(3, 4), (2,), (6, 9)], [(INVERSES_FROM, INVERSES_FROM)]])
def test_gradients_flow(shapes):
    layout = Layout(shapes, dtype=torch.float64)
    if len(shapes) > 1:
        layout.divide(4)

    def total(gradient):
        found = orthogonal_direction(layout, 0.1 * gradient, gradient)
        return (found * torch.arange(found.numel(), dtype=torch.float64).view_as(found)).sum()

    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    packed = layout.pack(start).requires_grad_()
    is_large = packed.numel() > 100  # entry by entry would be slow
    assert torch.autograd.gradcheck(total, (packed,), atol=1e-6, fast_mode=is_large)


def test_old_versions_of_torch_invert_without_cholesky_factors(monkeypatch):
    matrix = with_values(torch.logspace(-3, -0.1, INVERSES_FROM).double(), (INVERSES_FROM, 150))
    (found,) = orthogonalise([matrix[None]])
    monkeypatch.delattr(torch.linalg, "cholesky_ex")
    (old,) = orthogonalise([matrix[None]])
    torch.testing.assert_close(found, old)
