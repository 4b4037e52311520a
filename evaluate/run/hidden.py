"""Find a task's hidden weights: neither embeddings nor the output layer.

`task.state` does not show which these are: a tied embedding is both first and last, and position
tables come before the embedding. Peers are given the list (evaluate.peers).
"""

from torch import nn

from evaluate.run.counting import modules
from tasks import Task

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_LAYERS = (nn.Embedding, nn.Linear, *_CONVOLUTIONS, nn.RNNBase, nn.MultiheadAttention)


def hidden_matrices(task: Task) -> list[int]:
    """Return the indices in `task.state` of matrices and kernels outside the first and last layer.

    Layers are in the order in which the network registers them. Parameters outside of layers, such
    as position tables, do not count as hidden.
    """
    layers: list[nn.Module] = [
        m for one in modules(task) for m in one.modules() if isinstance(m, _LAYERS)
    ]
    inner = _storages(layers[1:-1]) - _storages(layers[:1] + layers[-1:])
    places = enumerate(task.state)
    return [place for place, w in places if w.dim() > 1 and w.data_ptr() in inner]


def _storages(layers: list[nn.Module]) -> set[int]:
    return {weight.data_ptr() for layer in layers for weight in layer.parameters()}
