"""The matrix layout loses nothing and sums what belongs together."""

import pytest
import torch

from policy.layout import BLOCK, CACHED, Layout, in_blocks

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
    per_row = layout.per_row(values.unsqueeze(-1)).expand(-1, -1, layout.width)
    for i, tensor in enumerate(layout.unpack(per_row.contiguous())):
        assert (tensor == values[:, i].view(2, *[1] * (tensor.dim() - 1))).all()


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
def test_stacks_show_all_matrices_of_the_same_sides(lead):
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


WIDE = [(BLOCK + 1, 2 * BLOCK), (2 * BLOCK, 2 * BLOCK), (5 * BLOCK, 3 * BLOCK - 1)]


@pytest.mark.parametrize("lead", [(), (2,)])
@pytest.mark.parametrize("sides", WIDE)
def test_wide_matrices_are_shown_in_blocks_of_their_narrower_side(sides, lead):
    layout = Layout([sides, (3,), sides])
    numbers = torch.arange(sides[0] * sides[1]).view(sides).float().expand((*lead, *sides))
    packed = layout.pack([numbers, torch.zeros((*lead, 3)), -numbers])
    axis = -1 if sides[0] > sides[1] else -2
    stacks = [stack for stacks in layout.alike.values() for stack in stacks]
    assert all(min(stack.sides) <= BLOCK for stack in stacks)
    shown = [block for stack in stacks for block in stack.of(packed).unbind(len(lead) + 1)]
    together = torch.cat(shown, axis)  # [*lead, 2, *sides]
    assert torch.equal(together, torch.stack([numbers, -numbers], len(lead)))


def test_blocks_of_all_wide_matrices_lie_in_one_group_where_sides_allow_it():
    shapes = [(BLOCK, 9), (2 * BLOCK, 4 * BLOCK), (8 * BLOCK, 4 * BLOCK, 3, 3)]
    assert len(Layout(shapes[1:]).alike) == 1
    assert Layout(shapes).alike.keys() == {9, BLOCK}
