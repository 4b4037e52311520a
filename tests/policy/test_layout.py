"""The matrix layout is lossless, and sums over the right entries."""

import math

import pytest
import torch
from accelerator import DEVICE, Accelerator

from policy.rule.layout import CACHED, Layout, in_blocks, squares

SHAPES = [(7, 11), (), (0, 4), (130,), (2, 3, 3)]


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_pack_then_unpack_restores_every_tensor(lead):
    layout = Layout(SHAPES)
    tensors = [torch.randn((*lead, *s)) for s in SHAPES]
    for tensor, back in zip(tensors, layout.unpack(layout.pack(tensors)), strict=True):
        assert torch.equal(tensor, back)


def test_pack_copies_and_unpack_aliases():
    layout = Layout(SHAPES)
    tensors = [torch.zeros(s) for s in SHAPES]
    matrix = layout.pack(tensors)
    layout.unpack(matrix)[0].fill_(1)
    assert tensors[0].sum() == 0 and matrix.sum() == 77


def test_sums_and_values_per_row_follow_the_tensors():
    layout = Layout(SHAPES)
    tensors = [torch.randn((2, *s)) for s in SHAPES]
    expected = torch.stack([t.reshape(2, -1).sum(1) for t in tensors], 1)
    torch.testing.assert_close(
        layout.sums(layout.pack(tensors), of=lambda matrix: matrix.sum(-1)), expected
    )
    values = torch.arange(10.0).view(2, 5)
    per_row = layout.per_row(values).expand(-1, -1, layout.width)
    for i, tensor in enumerate(layout.unpack(per_row.contiguous())):
        assert (tensor == values[:, i].view(2, *[1] * (tensor.dim() - 1))).all()


MANY_ROWS = [(300, 700), (9,), (), (0, 4), (40, 40), (1100, 1000), (5,)]


@pytest.mark.parametrize("lead", [(), (2, 3)])
@pytest.mark.parametrize("shapes", [SHAPES, MANY_ROWS, [(3,)], [(0,)]])
def test_accelerator_sums_in_a_fixed_order(shapes, lead, monkeypatch):
    """An accelerator's scatter_add has no fixed order, so processes would drift apart."""
    here = Layout(shapes)
    matrix = here.pack([torch.randn((*lead, *shape)) for shape in shapes])
    expected = here.sums(matrix, of=squares)
    with Accelerator():
        there = Layout(shapes, device=DEVICE)
        monkeypatch.setattr(torch.Tensor, "scatter_add", None)
        found = there.sums(matrix.to(DEVICE), of=squares).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=0)


def test_non_finite_values_stay_in_their_tensor_on_an_accelerator():
    tensors = [torch.full((70, 70), math.inf), torch.ones(3), torch.full((9,), math.nan)]
    with Accelerator():
        layout = Layout([t.shape for t in tensors], device=DEVICE)
        sums = layout.sums(layout.pack([t.to(DEVICE) for t in tensors]), of=squares).tolist()
    assert sums[:2] == [math.inf, 3.0] and math.isnan(sums[2])


def test_padding_stays_small_for_large_nets_and_many_tensors():
    for shapes in ([(512, 512)] * 20 + [(512,)] * 40, [(10,)] * 10_000):
        layout = Layout(shapes)
        entries = layout.rows * layout.width
        assert entries <= max(1.07 * sum(layout.numels), 16 * len(shapes))


def test_half_precision_is_widened():
    layout = Layout([(3,)])
    assert layout.pack([torch.ones(3, dtype=torch.float16)]).dtype == torch.float32


@pytest.mark.parametrize("rows", [1, 100, 2 * CACHED // 8 + 3])
def test_blocks_are_views_that_cover_the_rows(rows):
    wide, narrow = torch.zeros(2, rows, 8), torch.zeros(2, rows, 3)
    for some, fewer in in_blocks(wide, narrow):
        assert some.shape[-2] == fewer.shape[-2] <= CACHED // 8
        some += 1
        fewer += 1
    assert (wide == 1).all() and (narrow == 1).all()


@pytest.mark.parametrize("lead", [(), (2,)])
def test_stacks_hold_all_matrices_of_the_same_shape(lead):
    shapes = [(4, 6), (3,), (6, 4), (4, 3, 2), (0, 4), (), (5, 7), (4, 6)]
    layout = Layout(shapes)
    tensors = [torch.randn((*lead, *shape)) for shape in shapes]
    packed = layout.pack(tensors)
    seen = {}
    for side, stacks in layout.alike.items():
        for stack in stacks:
            assert min(stack.sides) == side and stack.counts[1] == 1
            seen[stack.sides] = list(stack.of(packed).squeeze(len(lead) + 1).unbind(len(lead)))
    expected = {(4, 6): [0, 3, 7], (6, 4): [2], (5, 7): [6]}
    assert seen.keys() == expected.keys()
    for sides, indices in expected.items():
        for found, i in zip(seen[sides], indices, strict=True):
            assert torch.equal(found, tensors[i].reshape(*lead, *sides))


@pytest.mark.parametrize("lead", [(), (2,)])
@pytest.mark.parametrize("sides", [(9, 16), (16, 16), (40, 23), (3, 50), (10, 2, 4)])
def test_matrices_are_divided_along_their_narrower_side(sides, lead):
    layout = Layout([sides, (3,), sides])
    layout.divide(8)
    numbers = torch.arange(math.prod(sides)).view(sides).float().expand((*lead, *sides))
    packed = layout.pack([numbers, torch.zeros((*lead, 3)), -numbers])
    stacks = [(side, stack) for side, stacks in layout.alike.items() for stack in stacks]
    assert all(min(stack.sides) == side <= 8 for side, stack in stacks)
    shown = [block for _, stack in stacks for block in stack.of(packed).unbind(len(lead) + 1)]
    axis = -1 if sides[0] > math.prod(sides[1:]) else -2
    matrices = torch.stack([numbers, -numbers], len(lead)).flatten(len(lead) + 2)
    assert torch.equal(torch.cat(shown, axis), matrices)
    narrower = [part.shape[axis] for part in shown]
    assert max(narrower) - min(narrower) <= 1, "as equal as may be"


def test_blocks_of_equal_shape_share_a_group():
    layout = Layout([(8, 9), (16, 32), (64, 24), (5, 8)])
    assert layout.alike.keys() == {8, 16, 24, 5}
    layout.divide(8)
    assert layout.alike.keys() == {8, 5}
