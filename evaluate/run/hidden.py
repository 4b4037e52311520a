"""Which weights of a task are hidden ones, that is neither embed nor classify.

A submission cannot tell from `task.state`: a tied embedding stands first and last, and tables of
positions stand before the embedding. Peers that want to know are told (evaluate.peers).
"""

from torch import nn

from evaluate.run.counting import modules
from tasks import Task

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_LAYERS = (nn.Embedding, nn.Linear, *_CONVOLUTIONS, nn.RNNBase, nn.MultiheadAttention)


def hidden_matrices(task: Task) -> list[int]:
    """Places in `task.state` of all matrices and kernels in layers but the first and the last.

    Layers are taken in the order in which a network registers them. Parameters that are in none,
    such as tables of positions, do not count as hidden.
    """
    layers: list[nn.Module] = [
        m for one in modules(task) for m in one.modules() if isinstance(m, _LAYERS)
    ]
    inner = _storages(layers[1:-1]) - _storages(layers[:1] + layers[-1:])
    places = enumerate(task.state)
    return [place for place, w in places if w.dim() > 1 and w.data_ptr() in inner]


def _storages(layers: list[nn.Module]) -> set[int]:
    return {weight.data_ptr() for layer in layers for weight in layer.parameters()}
