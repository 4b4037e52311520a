"""The orthogonal direction against singular value decompositions."""

import pytest
import torch

from policy.layout import Layout
from policy.orthogonal import orthogonal_direction, orthogonalise

SHAPES = [(12, 30), (30, 12), (7,), (5, 3, 2, 2), (0, 4), (1, 9), (12, 30)]


def direction_of(gradients):
    layout = Layout(SHAPES, dtype=torch.float64)
    packed = layout.pack(gradients)
    return layout.unpack(orthogonal_direction(layout, 0.1 * packed, packed))


def draw(lead=(), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn((*lead, *s), generator=generator, dtype=torch.float64) for s in SHAPES]


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


def test_small_singular_values_are_lifted():
    generator = torch.Generator().manual_seed(0)
    u, _ = torch.linalg.qr(torch.randn(20, 20, generator=generator, dtype=torch.float64))
    values = torch.cat([torch.tensor([0.7]), torch.full((19,), 1 / 200)]).double()
    lifted = torch.linalg.svdvals(orthogonalise([(u @ values.diag() @ u.T)[None]])[0]) / 20**0.5
    assert (lifted - 1).abs().max() < 0.1


def test_of_a_vector_only_the_length_changes():
    gradients = draw()
    vector = gradients[2]
    torch.testing.assert_close(direction_of(gradients)[2], vector * 7**0.5 / vector.norm())


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_scale_of_the_gradient_does_not_matter(factor):
    scaled = direction_of([factor * g for g in draw()])
    for a, b in zip(direction_of(draw()), scaled, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


def test_without_a_gradient_there_is_no_direction():
    for found in direction_of([torch.zeros_like(g) for g in draw()]):
        assert not found.any()


def test_particles_do_not_see_each_other():
    together = direction_of(draw((3,)))
    second = direction_of([g[1] for g in draw((3,))])
    for a, b in zip(together, second, strict=True):
        torch.testing.assert_close(a[1], b)


def test_gradients_flow():
    layout = Layout([(3, 4), (2,)], dtype=torch.float64)

    def total(gradient):
        found = orthogonal_direction(layout, 0.1 * gradient, gradient)
        return (found * torch.arange(found.numel(), dtype=torch.float64).view_as(found)).sum()

    generator = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (2,)]
    start = [torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes]
    assert torch.autograd.gradcheck(total, (layout.pack(start).requires_grad_(),), atol=1e-6)
