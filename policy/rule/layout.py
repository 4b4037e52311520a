"""Many tensors as one matrix: a few kernels then serve any number of parameter tensors.

Each tensor fills whole rows of a ``[rows, width]`` matrix, its last row padded with zeros. A gather
turns values per tensor into values per row. A sum over each tensor is a sum along rows, then one
over its few rows, always in the same order: processes that see the same gradients decide alike.
Padding stays zero under every update in `policy.rule.update`. Matrices and filters of the same
sides are adjacent, so one view shows all of them, or the same block of each.
"""

import itertools
import math
from typing import NamedTuple

import torch

MAX_WIDTH = 4096
PADDING = 16  # at most one padded entry in this many, if the tensors allow it
TOGETHER = 32  # largest number of rows that an accelerator adds in one round
CACHED = 2**16  # entries that a core's cache holds of each of a few matrices


def choose_width(numels):
    """Return the widest power of two with little padding: wide rows make sums over rows cheap."""
    total = sum(numels)
    width = MAX_WIDTH
    while width > 16 and sum(-n % width for n in numels) * PADDING > total:
        width //= 2
    return width


def squares(matrix):
    """Return the sum of squares over each row, ``[*lead, rows]``."""
    return (matrix * matrix).sum(-1)


class Layout:
    """The place of each tensor in the matrix.

    Args:
        shapes: shape of each tensor, without leading batch axes. Empty and 0-d tensors are allowed.
        device, dtype: of the matrix.

    ``order`` holds the indices of the tensors in the order of their places.
    """

    def __init__(self, shapes, device=None, dtype=torch.float32):
        self.shapes = [tuple(shape) for shape in shapes]
        self.numels = [_product(shape) for shape in self.shapes]
        self.width = choose_width(self.numels)
        self.dtype = dtype
        self.fan_ins = [_fan_in(shape, n) for shape, n in zip(self.shapes, self.numels)]
        # Per-tensor means divide by this; an empty tensor has mean zero.
        self.sizes = torch.tensor([max(n, 1) for n in self.numels], dtype=dtype, device=device)
        self.is_matrix = torch.tensor([len(s) > 1 for s in self.shapes], device=device)
        # RMS of torch's own initial weights, uniform in +-1/sqrt(fan-in).
        scales = [(3 * fan_in) ** -0.5 for fan_in in self.fan_ins]
        self.least_scale = torch.tensor(scales, dtype=dtype, device=device)
        self._place(device)

    def _place(self, device):
        """Order the tensors: matrices of the same sides together, vectors at the end."""
        alike, others = _alike(self.shapes, self.fan_ins)
        self.order = [i for by_sides in alike for same in by_sides.values() for i in same] + others
        rows = [-(-n // self.width) for n in self.numels]
        owner = [i for i in self.order for _ in range(rows[i])]
        self._owner = torch.tensor(owner, dtype=torch.long, device=device)
        self.rows = len(owner)
        ends = itertools.accumulate(rows[i] * self.width for i in self.order)
        starts = {i: end - rows[i] * self.width for i, end in zip(self.order, ends)}
        self._starts = [starts[i] for i in range(len(self))]
        self._matrices = [
            Stack.of_matrices(starts[same[0]], len(same), rows[same[0]] * self.width, sides)
            for by_sides in alike
            for sides, same in by_sides.items()
        ]
        self.divide(math.inf)
        paddings = [rows[i] * self.width - self.numels[i] for i in self.order]
        zeros = torch.zeros(max(paddings + [0]), dtype=self.dtype, device=device)
        self._paddings = [zeros[:padding] for padding in paddings]
        self._rounds = [
            (torch.tensor(indices, dtype=torch.long, device=device), together)
            for indices, together in (self._plan_rounds() if zeros.device.type != "cpu" else ())
        ]

    def divide(self, most):
        """Divide matrices along their narrower side into nearly equal blocks of at most ``most``
        rows or columns. ``alike`` then maps the narrower side of the blocks to stacks of them."""
        self.alike = {}
        for whole in self._matrices:
            for stack in whole.parts(max(math.ceil(min(whole.sides) / most), 1)):
                self.alike.setdefault(min(stack.sides), []).append(stack)

    def __len__(self):
        return len(self.shapes)

    def pack(self, tensors):
        """Tensors ``[*lead, *shape]`` -> a new matrix ``[*lead, rows, width]``."""
        lead = self._lead(tensors[0])
        return self.join([t.detach().reshape(lead + (-1,)).to(self.dtype) for t in tensors])

    def join(self, parts):
        """Flat tensors ``[*lead, n]`` -> a new matrix ``[*lead, rows, width]``, which can be
        differentiated."""
        lead, padded = tuple(parts[0].shape[:-1]), []
        for i, zeros in zip(self.order, self._paddings):
            padded.append(parts[i])
            if len(zeros):
                padded.append(zeros.expand(lead + zeros.shape) if lead else zeros)
        return torch.cat(padded, -1).view(lead + (self.rows, self.width))

    def unpack(self, matrix):
        """Matrix ``[*lead, rows, width]`` -> views ``[*lead, *shape]`` of it."""
        lead = tuple(matrix.shape[:-2])
        flat = matrix.view(lead + (-1,))
        return [
            flat[..., start : start + n].view(lead + shape)
            for start, n, shape in zip(self._starts, self.numels, self.shapes)
        ]

    def sums(self, *matrices, of):
        """Return sums over each tensor: ``[*lead, rows, width]`` each -> ``[*lead, tensors]``.

        ``of`` gets some rows of the matrices at a time, and returns one or several sums over each
        row: ``[..., *lead, rows]``.
        """
        parts = [of(*block) for block in in_blocks(*matrices)]
        per_row = concatenate(parts, -1)
        lead = tuple(per_row.shape[:-1])
        if per_row.device.type != "cpu":
            return self._gathered(per_row, lead)
        totals = torch.zeros(lead + (len(self),), dtype=per_row.dtype, device=per_row.device)
        return totals.scatter_add(-1, self._owner.expand(lead + (self.rows,)), per_row)

    def _gathered(self, values, lead):
        """Return sums over the rows of each tensor on an accelerator, whose scatter has no fixed
        order."""
        zero = values.new_zeros(lead + (1,))
        for indices, together in self._rounds:
            chosen = torch.cat([values, zero], -1).index_select(-1, indices)
            values = chosen.view(lead + (-1, together)).sum(-1)
        return values

    def _plan_rounds(self):
        """Yield for each round the indices of the values that it adds, where the number of values
        stands for zero, and how many of them make one sum. The last round's sums are the
        tensors'."""
        rows = [-(-n // self.width) for n in self.numels]
        starts = [start // self.width for start in self._starts]
        count, left = self.rows, max(rows + [1])
        rounds = max(math.ceil(math.log(left, TOGETHER)), 1)
        while rounds:
            together = math.ceil(left ** (1 / rounds))
            indices = [
                start + k if k < n else count
                for start, n in zip(starts, rows)
                for k in range(max(-(-n // together), 1) * together)
            ]
            yield indices, together
            rows = [max(-(-n // together), 1) for n in rows]
            starts = [end - n for end, n in zip(itertools.accumulate(rows), rows)]
            count, left, rounds = sum(rows), max(rows + [1]), rounds - 1

    def per_row(self, values):
        """Values per tensor to values per row: ``[*lead, tensors]`` -> ``[*lead, rows, 1]``."""
        return values.index_select(-1, self._owner).unsqueeze(-1)

    def _lead(self, first):
        """Return the leading batch axes of a list of tensors, given the first one."""
        return tuple(first.shape[: first.dim() - len(self.shapes[0])])


class Stack(NamedTuple):
    """The places of blocks of the same sides ``(out, fan-in)``: ``counts[1]`` in each of
    ``counts[0]`` matrices. ``strides``, in entries: from one matrix, block and row to the next."""

    first: int
    counts: tuple
    strides: tuple
    sides: tuple

    @classmethod
    def of_matrices(cls, first, count, stride, sides):
        """Return a stack of whole matrices, one every ``stride`` entries."""
        return cls(first, (count, 1), (stride, 0, sides[1]), sides)

    def of(self, matrix):
        """Return a view ``[*lead, *counts, *sides]`` of a packed matrix ``[*lead, rows, width]``.

        It is one call, since a step makes two such views of each stack."""
        size = tuple(matrix.shape[:-2]) + self.counts + self.sides
        strides = tuple(matrix.stride()[:-2]) + self.strides + (1,)
        return matrix.as_strided(size, strides, matrix.storage_offset() + self.first)

    def parts(self, count):
        """Yield stacks of ``count`` blocks of each matrix, cut along the narrower side: all of one
        size, or some with one more row or column."""
        (out, fan_in), first = self.sides, self.first
        side, larger = divmod(min(self.sides), count)
        for size, blocks in ((side + 1, larger), (side, count - larger)):
            if blocks:
                block = (out, size) if out > fan_in else (size, fan_in)
                step = size if out > fan_in else size * fan_in
                strides = self.strides[0], step, fan_in
                yield Stack(first, (self.counts[0], blocks), strides, block)
                first += blocks * step


def in_blocks(*matrices):
    """Yield views of matrices ``[*lead, rows, n]``, some rows at a time, so that several passes
    over them stay in the cache. On an accelerator the number of kernels decides: all rows."""
    rows, width = matrices[0].shape[-2:]
    most = max(CACHED // width, 1)
    if rows <= most or matrices[0].device.type != "cpu":
        yield matrices
        return
    for start in range(0, rows, most):
        yield [matrix.narrow(-2, start, min(most, rows - start)) for matrix in matrices]


def concatenate(parts, dim):
    """Return ``torch.cat`` of the parts; a single part is not copied."""
    return torch.cat(parts, dim) if len(parts) > 1 else parts[0]


def _fan_in(shape, numel):
    """Return the inputs of each unit: all axes but the first; 1 for vectors and scalars."""
    return max(numel // max(shape[0], 1), 1) if len(shape) > 1 else 1


def _alike(shapes, fan_ins):
    """Return a dictionary ``(out, fan-in) -> indices`` of the matrices of each narrower side, and
    the indices of the rest, which empty matrices belong to."""
    groups, others = {}, []
    for i, (shape, fan_in) in enumerate(zip(shapes, fan_ins)):
        if len(shape) > 1 and _product(shape):
            sides = shape[0], fan_in
            groups.setdefault(min(sides), {}).setdefault(sides, []).append(i)
        else:
            others.append(i)
    return list(groups.values()), others


def _product(shape):
    n = 1
    for size in shape:
        n *= int(size)
    return n
