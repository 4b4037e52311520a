"""CUDA graphs: a function of tensors recorded once, then replayed without Python or launch gaps."""

import functools
from collections.abc import Callable

import torch

from metalearn.tree import leaves

WARMUP = 3  # calls before recording, in which libraries choose kernels and allocate workspaces
# The newest recording. Torch refuses a pool of memory of which the last recording is gone, and a
# group that is replaced may have had the only one.
_newest = []


class Graphed:
    """A function that is recorded at its first call and replayed from then on.

    `function(state, constants, inputs)` must overwrite `state` (nested tuples of tensors) in
    its own storage and return nothing. The state must be the same tensors at every call;
    `constants` (name -> tensor) and `inputs` (tensor) are copied in.
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
        # Recording and its warm-up must leave no trace in the state.
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
    """The function, as `Graphed` if tensors are where `like` is on a CUDA device."""
    return Graphed(function) if like.is_cuda else function


@functools.cache
def _pool():
    """Memory that all recordings share: none leaves anything in it that is needed later."""
    return torch.cuda.graph_pool_handle()
