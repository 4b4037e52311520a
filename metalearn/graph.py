"""CUDA graphs: record a function of tensors once, then replay it without Python or launch gaps."""

import functools
from collections.abc import Callable

import torch

from metalearn.tree import leaves

WARMUP = 3  # calls before recording, in which libraries select kernels and allocate workspaces
# The newest recording is kept alive: torch refuses a memory pool whose recordings are all deleted,
# and replacing a group may delete the only one.
_newest = []


class Graphed:
    """A function that is recorded at its first call and replayed afterwards.

    `function(state, constants, inputs)` must overwrite `state` (nested tuples of tensors) in place
    and return nothing. Every call must pass the same tensors as `state`. `constants` (name ->
    tensor) and `inputs` (tensor) are copied in.
    """

    def __init__(self, function: Callable):
        self.function = function
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(
        self, state: tuple, constants: dict[str, torch.Tensor], inputs: torch.Tensor
    ) -> None:
        if self.graph is None:
            self._record(state, constants, inputs)
        for name, value in constants.items():
            self.constants[name].copy_(value)
        self.inputs.copy_(inputs)
        self.graph.replay()

    def _record(self, state, constants, inputs):
        self.constants = {name: value.clone() for name, value in constants.items()}
        self.inputs = inputs.clone()
        # Warm-up and recording must not change the state.
        saved = [tensor.clone() for tensor in leaves(state)]
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARMUP):
                self.function(state, self.constants, self.inputs)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=_pool()):
            self.function(state, self.constants, self.inputs)
        _newest[:] = [self.graph]
        for tensor, value in zip(leaves(state), saved, strict=True):
            tensor.copy_(value)


def graphed(function: Callable, like: torch.Tensor) -> Callable:
    """Return the function, as `Graphed` if `like` is on a CUDA device."""
    return Graphed(function) if like.is_cuda else function


@functools.cache
def _pool():
    """Return the memory pool of all recordings. None leaves data in it that is needed later."""
    return torch.cuda.graph_pool_handle()
