"""Architecture families by name.

To add one, write an `nn.Module` whose constructor takes a `Shape` and keyword options with
defaults. Add an entry to `FAMILIES` with the values to sample for training.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import nn

from tasks.architectures.autoencoder import Autoencoder, ConvAutoencoder
from tasks.architectures.cnn import CNN
from tasks.architectures.mixer import Mixer
from tasks.architectures.mlp import MLP
from tasks.architectures.recurrent import ElmanLanguageModel, GRULanguageModel, LSTMLanguageModel
from tasks.architectures.regressor import Regressor
from tasks.architectures.residual import ResidualMLP
from tasks.architectures.resnet import ResNet
from tasks.architectures.transformer import TransformerLanguageModel
from tasks.architectures.vgg import VGG
from tasks.architectures.vit import ViT
from tasks.data import kind_of

Choices = Mapping[str, Sequence]  # of values


class Family(NamedTuple):
    """An architecture, and the values from which its training variants are drawn.

    module: constructed as module(shape, **options).
    options, data, batch_sizes: values to draw from. Repeated values are drawn more often.
    held_out: whether it is kept for the `validation` suite, and sampled only with `held_out=True`.
    """

    module: type[nn.Module]
    options: Choices
    data: Mapping[str, Mapping]
    batch_sizes: Sequence[int]
    held_out: bool = False

    @property
    def kind(self) -> type:
        """The type of its data, `Images` or `Text`."""
        return kind_of(next(iter(self.data)))


_ACTIVATIONS = ("relu", "tanh", "gelu", "silu")
_TOPICS = {"topics": {"alphabet": ("letters", "letters", "ascii"), "context": (8, 12, 16)}}
_FASHION = {"train": (10_000,), "test": (2_000,)}
_SEEDS = range(1, 9)
# The CNN averages over pixels and so ignores positions. Its data sets are easier.
_FOR_MLPS: Mapping[str, Choices] = {
    "digits": {},
    "clusters": {"classes": (4, 10), "modes": (1, 2, 4), "noise": (0.8, 0.9, 0.95), "seed": _SEEDS},
    "teacher": {"classes": (2, 5, 10), "width": (8, 16, 32), "seed": _SEEDS},
    "fashion": _FASHION | {"pixels": (7, 14)},
}
_FOR_CNNS: Mapping[str, Choices] = {
    "digits": {},
    "clusters": {
        "classes": (3, 6),
        "modes": (1, 2),
        "noise": (0.4, 0.6, 0.8),
        "rolled": (False, True),
        "seed": _SEEDS,
    },
    "fashion": _FASHION | {"pixels": (7,)},
}

_SMALL = {"train": (4_000,), "test": (1_000,), "seed": _SEEDS}
_HELD_OUT_IMAGES = {
    "glyphs": _SMALL | {"pixels": (8, 12), "classes": (10, 26)},
    "photos": _SMALL | {"pixels": (8,)},
}

FAMILIES: dict[str, Family] = {
    "mlp": Family(
        MLP,
        {"width": (32, 48, 64, 96, 128, 256), "depth": (1, 2, 3, 4), "activation": _ACTIVATIONS},
        _FOR_MLPS,
        (8, 16, 32, 64),
    ),
    "cnn": Family(
        CNN,
        {
            "width": (6, 8, 8, 12, 16, 24),
            "depth": (2, 2, 3),
            "norm": ("none", "batch", "group"),
            "activation": _ACTIVATIONS,
        },
        _FOR_CNNS,
        (4, 8, 16, 32),
    ),
    "rnn_lm": Family(
        LSTMLanguageModel,
        {"width": (24, 32, 48, 64, 96), "depth": (1, 1, 2), "tied": (False, True)},
        _TOPICS,
        (2, 4, 8, 16),
    ),
    "transformer_lm": Family(
        TransformerLanguageModel,
        {
            "heads": (2, 4),
            "head_width": (8, 16, 24, 32),
            "depth": (1, 2, 3),
            "activation": ("relu", "gelu", "silu"),
        },
        _TOPICS,
        (2, 4, 8, 16),
    ),
    "residual_mlp": Family(
        ResidualMLP,
        {
            "width": (32, 48, 64, 96, 128),
            "depth": (1, 2, 4),
            "norm": ("none", "layer", "layer"),
            "skip": (True, True, False),
            "activation": _ACTIVATIONS,
        },
        _FOR_MLPS,
        (8, 16, 32, 64),
    ),
    "autoencoder": Family(
        Autoencoder,
        {
            "width": (16, 32, 64, 96),
            "depth": (1, 2),
            "code": (4, 8, 16),
            "activation": _ACTIVATIONS,
        },
        {"digits": {}, "fashion": _FASHION | {"pixels": (7, 14)}},
        (16, 32, 64),
    ),
    "elman_lm": Family(
        ElmanLanguageModel,
        {"width": (16, 24, 32, 48), "depth": (1,), "tied": (False, True)},
        _TOPICS | {"topic_words": {"vocabulary": (100, 200), "context": (8, 12)}},
        (2, 4, 8, 16),
    ),
    "regressor": Family(
        Regressor,
        {"width": (32, 48, 64, 96, 128, 256), "depth": (2, 2, 3, 4), "activation": _ACTIVATIONS},
        {
            "functions": {
                "inputs": (2, 4, 8, 16),
                "outputs": (1, 1, 4),
                "roughness": (0.25, 0.5, 0.9),
                "noise": (0.0, 0.0, 0.1, 0.3),
                "seed": _SEEDS,
            }
        },
        (16, 32, 64, 128),
    ),
    "resnet": Family(
        ResNet,
        {
            "width": (4, 8),
            "stages": (2,),
            "depth": (1, 2),
            "norm": ("batch", "group"),
            "activation": _ACTIVATIONS,
        },
        _HELD_OUT_IMAGES,
        (16,),
        held_out=True,
    ),
    "vgg": Family(
        VGG,
        {
            "width": (4, 8),
            "stages": (2,),
            "depth": (1, 2),
            "head": (16, 32),
            "norm": ("none", "batch"),
            "activation": _ACTIVATIONS,
        },
        _HELD_OUT_IMAGES,
        (16,),
        held_out=True,
    ),
    "mixer": Family(
        Mixer,
        {"width": (12, 24), "depth": (1, 2), "activation": _ACTIVATIONS},
        _HELD_OUT_IMAGES | {"waves": _SMALL},
        (16, 32),
        held_out=True,
    ),
    "vit": Family(
        ViT,
        {"heads": (1, 2), "head_width": (8, 12), "depth": (1, 2), "activation": _ACTIVATIONS},
        _HELD_OUT_IMAGES | {"waves": _SMALL},
        (16,),
        held_out=True,
    ),
    "gru_lm": Family(
        GRULanguageModel,
        {"width": (16, 32), "depth": (1,), "tied": (False, True)},
        {
            "source": {"alphabet": ("letters",), "context": (8, 12), "train": (100_000,)},
            "docstrings": {"vocabulary": (200,), "context": (8, 12), "train": (50_000,)},
        },
        (8, 16),
        held_out=True,
    ),
    "conv_autoencoder": Family(
        ConvAutoencoder,
        {"width": (4, 8), "depth": (1, 2), "code": (2, 4), "activation": _ACTIVATIONS},
        _HELD_OUT_IMAGES,
        (16,),
        held_out=True,
    ),
}

TRAINING_FAMILIES = tuple(name for name, family in FAMILIES.items() if not family.held_out)
