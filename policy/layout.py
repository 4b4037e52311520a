"""Many tensors as one matrix: a few kernels then serve any number of parameter tensors.

Each tensor fills whole rows of a ``[rows, width]`` matrix, its last row padded with zeros. A
quantity per tensor becomes one per row by a gather, and a sum over each tensor is a sum along rows
followed by a scatter over the few rows. Zero padding stays zero under every update in
:mod:`policy.update`.
"""

import itertools

import torch

MAX_WIDTH = 4096
PADDING = 16  # at most one padded entry in so many, where the tensors allow it
CACHED = 2**16  # entries of a matrix that a core's cache holds beside as many of a few others


def choose_width(numels):
    """Widest power of two that pads little: wide rows make the scatter over rows cheap."""
    total = sum(numels)
    width = MAX_WIDTH
    while width > 16 and sum(-n % width for n in numels) * PADDING > total:
        width //= 2
    return width


class Layout:
    """Where each tensor lies in the matrix.

    Args:
        shapes: shape of each tensor, without leading batch axes. Empty and 0-d tensors are allowed.
        device, dtype: of the matrix.
    """

    def __init__(self, shapes, device=None, dtype=torch.float32):
        self.shapes = [tuple(shape) for shape in shapes]
        self.numels = [_product(shape) for shape in self.shapes]
        self.width = choose_width(self.numels)
        self.dtype = dtype
        counts = [-(-n // self.width) for n in self.numels]
        self.rows = sum(counts)
        owner = [i for i, count in enumerate(counts) for _ in range(count)]
        self._owner = torch.tensor(owner, dtype=torch.long, device=device)
        self._starts = [end * self.width for end in itertools.accumulate([0] + counts[:-1])]
        paddings = [count * self.width - n for count, n in zip(counts, self.numels)]
        zeros = torch.zeros(max(paddings + [0]), dtype=dtype, device=device)
        self._paddings = [zeros[:padding] for padding in paddings]
        # Per-tensor means divide by this; an empty tensor has mean zero.
        self.sizes = torch.tensor([max(n, 1) for n in self.numels], dtype=dtype, device=device)
        self.fan_ins = [_fan_in(shape, n) for shape, n in zip(self.shapes, self.numels)]
        self.is_matrix = torch.tensor([len(s) > 1 for s in self.shapes], device=device)
        self.alike = _alike(self.shapes, self.fan_ins)
        # A third of the RMS of weights uniform in +-1/sqrt(fan-in).
        scales = [0.2 * fan_in**-0.5 for fan_in in self.fan_ins]
        self.least_scale = torch.tensor(scales, dtype=dtype, device=device)

    def __len__(self):
        return len(self.shapes)

    def pack(self, tensors):
        """Tensors ``[*lead, *shape]`` -> a new matrix ``[*lead, rows, width]``."""
        lead = self._lead(tensors[0])
        return self.join([t.detach().reshape(lead + (-1,)).to(self.dtype) for t in tensors])

    def join(self, parts):
        """Flat tensors ``[*lead, n]`` -> a new matrix ``[*lead, rows, width]``."""
        lead, padded = tuple(parts[0].shape[:-1]), []
        for part, zeros in zip(parts, self._paddings):
            padded.append(part)
            if len(zeros):
                padded.append(zeros.expand(lead + zeros.shape) if lead else zeros)
        return torch.cat(padded, -1).view(lead + (self.rows, self.width))

    def unpack(self, matrix):
        """Matrix ``[*lead, rows, width]`` -> views ``[*lead, *shape]`` of it."""
        lead = tuple(matrix.shape[:-2])
        return [part.view(lead + shape) for part, shape in zip(self.split(matrix), self.shapes)]

    def split(self, matrix):
        """Matrix ``[*lead, rows, width]`` -> flat views ``[*lead, n]`` of it, without padding."""
        flat = matrix.view(tuple(matrix.shape[:-2]) + (-1,))
        return [flat[..., start : start + n] for start, n in zip(self._starts, self.numels)]

    def sums(self, matrix):
        """Sum over each tensor: ``[*lead, rows, width]`` -> ``[*lead, tensors]``."""
        return self.sums_of_rows(matrix.sum(-1))

    def sums_of_rows(self, per_row):
        """Sum over the rows of each tensor: ``[*lead, rows]`` -> ``[*lead, tensors]``."""
        lead = tuple(per_row.shape[:-1])
        totals = torch.zeros(lead + (len(self),), dtype=per_row.dtype, device=per_row.device)
        return totals.scatter_add(-1, self._owner.expand(lead + (self.rows,)), per_row)

    def per_row(self, values):
        """Values per tensor to values per row: ``[*lead, tensors, n]`` -> ``[*lead, rows, n]``."""
        return values.index_select(-2, self._owner)

    def _lead(self, first):
        """Leading batch axes of a list of tensors, read off its first one."""
        return tuple(first.shape[: first.dim() - len(self.shapes[0])])


def in_blocks(*matrices):
    """Yield matrices ``[*lead, rows, n]`` some rows at a time, as views: what is computed from them
    in several passes then stays in the cache. All rows at once on an accelerator, where it is the
    number of kernels that counts."""
    rows, width = matrices[0].shape[-2:]
    most = max(CACHED // width, 1)
    if rows <= most or matrices[0].device.type != "cpu":
        yield matrices
        return
    for start in range(0, rows, most):
        yield [matrix.narrow(-2, start, min(most, rows - start)) for matrix in matrices]


def _fan_in(shape, numel):
    """Inputs of each unit: all axes but the first; 1 for vectors and scalars."""
    return max(numel // max(shape[0], 1), 1) if len(shape) > 1 else 1


def _alike(shapes, fan_ins):
    """Matrices that can be treated together: a list for each smaller side, of pairs ``((out,
    fan-in), indices)``; empty matrices left out."""
    groups = {}
    for i, (shape, fan_in) in enumerate(zip(shapes, fan_ins)):
        if len(shape) > 1 and _product(shape):
            sides = shape[0], fan_in
            groups.setdefault(min(sides), {}).setdefault(sides, []).append(i)
    return [list(same.items()) for same in groups.values()]


def _product(shape):
    n = 1
    for size in shape:
        n *= int(size)
    return n
