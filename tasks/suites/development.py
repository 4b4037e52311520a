"""Pairs to choose settings on: training families, mostly with larger networks and other forms of
the data than `tasks.sampling` draws.

Three are within the range of `tasks.scarce`. Some overfit easily, some start with unusual scales.
Nothing is held out, so policies, features and the driver's constants may be compared on these pairs
as often as needed.
"""

from tasks.suites.pair import Pair, language
from tasks.variant import Variant

_DIGITS = {"pixels": 16}
_FASHION = {"pixels": 14, "train": 5_000, "test": 2_000}
_STREAMS = {"context": 30, "train": 60_000, "test": 15_000}
_WINDOWS = {"context": 48, "train": 60_000, "test": 12_000}


def _transformer(
    depth: int, head_width: int, seed: int, heads: int = 2, init_scale: float = 1.0
) -> Variant:
    arch = {"heads": heads, "head_width": head_width, "depth": depth}
    return Variant("transformer_lm", "topics", arch, _WINDOWS, 16, seed, init_scale=init_scale)


DEVELOPMENT = {
    "mlp": Pair(Variant("mlp", "digits", {"width": 96, "depth": 3}, _DIGITS, 32, 1), epochs=30),
    "mlp_tanh": Pair(
        Variant(
            "mlp", "fashion", {"width": 128, "depth": 2, "activation": "tanh"}, _FASHION, 32, 2
        ),
        epochs=14,
    ),
    "mlp_noisy_labels": Pair(
        Variant(
            "mlp",
            "fashion",
            {"width": 64, "depth": 4, "activation": "gelu"},
            _FASHION,
            32,
            3,
            label_noise=0.1,
            init_scale=0.6,
        ),
        epochs=10,
    ),
    "cnn_batchnorm": Pair(
        Variant("cnn", "digits", {"width": 24, "depth": 3, "norm": "batch"}, _DIGITS, 32, 4),
        epochs=12,
    ),
    "cnn_plain": Pair(
        Variant("cnn", "fashion", {"width": 16, "depth": 3, "norm": "none"}, _FASHION, 32, 5),
        epochs=12,
    ),
    "cnn_groupnorm": Pair(
        Variant(
            "cnn",
            "fashion",
            {"width": 16, "depth": 3, "norm": "group", "activation": "gelu"},
            _FASHION,
            64,
            6,
        ),
        epochs=16,
    ),
    "residual_mlp": Pair(
        Variant("residual_mlp", "fashion", {"width": 96, "depth": 3}, _FASHION, 32, 7), epochs=10
    ),
    "deep_mlp": Pair(
        Variant(
            "residual_mlp",
            "digits",
            {"width": 64, "depth": 4, "skip": False, "norm": "none"},
            _DIGITS,
            32,
            8,
        ),
        epochs=25,
    ),
    "autoencoder": Pair(
        Variant("autoencoder", "fashion", {"width": 96, "depth": 2, "code": 16}, _FASHION, 64, 9),
        epochs=16,
    ),
    "lstm": Pair(
        language(
            "rnn_lm",
            "topics",
            {"width": 96, "depth": 2, "dropout": 0.1, "tied": True},
            _STREAMS,
            32,
            seed=10,
        ),
        epochs=14,
    ),
    "elman": Pair(Variant("elman_lm", "topics", {"width": 96}, _STREAMS, 32, 11), epochs=16),
    "transformer": Pair(_transformer(2, 16, 12, heads=4), epochs=12),
    "transformer_large_weights": Pair(_transformer(3, 16, 13, init_scale=2.0), epochs=14),
    "transformer_small_weights": Pair(_transformer(4, 24, 14, init_scale=0.5), epochs=12),
}
