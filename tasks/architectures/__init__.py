"""Architecture families by name. Adding one: an `nn.Module` whose constructor takes a `Shape` and
keyword options with defaults, and an entry in `FAMILIES` that says what to sample for training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import nn

from tasks.architectures.cnn import CNN
from tasks.architectures.mlp import MLP
from tasks.architectures.recurrent import LSTMLanguageModel
from tasks.architectures.transformer import TransformerLanguageModel
from tasks.data import Images, Text
from tasks.options import Value

Choices = Mapping[str, Sequence[Value]]


class Family(NamedTuple):
    """module: built as module(shape, **options).
    kind: what it reads, `Images` or `Text`.
    options, data, batch_sizes: the values from which training variants are drawn.
    """

    module: type[nn.Module]
    kind: type
    options: Choices
    data: Mapping[str, Choices]
    batch_sizes: Sequence[int]


_ACTIVATIONS = ("relu", "tanh", "gelu", "silu")
_TOPICS = {"topics": {"alphabet": ("letters",), "context": (8, 12, 16)}}

FAMILIES: dict[str, Family] = {
    "mlp": Family(
        MLP,
        Images,
        {"width": (16, 24, 32, 48), "depth": (1, 2, 3), "activation": _ACTIVATIONS},
        {"digits": {}, "fashion": {"pixels": (7, 14), "train": (10_000,), "test": (2_000,)}},
        (16, 32, 64),
    ),
    "cnn": Family(
        CNN,
        Images,
        {
            "width": (4, 6, 8),
            "depth": (2, 3),
            "norm": ("none", "batch", "group"),
            "activation": _ACTIVATIONS,
        },
        {"digits": {}, "fashion": {"pixels": (7,), "train": (10_000,), "test": (2_000,)}},
        (16, 32),
    ),
    "rnn_lm": Family(
        LSTMLanguageModel,
        Text,
        {"width": (12, 16, 24), "depth": (1,), "tied": (False, True)},
        _TOPICS,
        (16,),
    ),
    "transformer_lm": Family(
        TransformerLanguageModel,
        Text,
        {
            "heads": (1, 2),
            "head_width": (8, 12),
            "depth": (1, 2),
            "activation": ("relu", "gelu", "silu"),
        },
        _TOPICS,
        (16,),
    ),
}

__all__ = ["FAMILIES", "Family"]
