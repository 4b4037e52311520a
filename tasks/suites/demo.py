"""Pairs for a laptop: `demo` scores a submission within minutes, `smoke` is for tests.

All are outside the range of `tasks.sampling`: digits have 16 x 16 pixels instead of 8 x 8,
Fashion-MNIST 28 x 28 instead of 7 x 7 or 14 x 14, texts longer contexts, and some networks are
larger. But the architecture families are those of training; `validation` has others.
"""

from tasks.suites.pair import Pair, language
from tasks.variant import Variant

DEMO = {
    "digits_cnn_batchnorm": Pair(
        Variant("cnn", "digits", {"width": 32, "depth": 3, "norm": "batch"}, {"pixels": 16}, 64, 1),
        epochs=20,
    ),
    "topics_lstm": Pair(
        language(
            "rnn_lm",
            "topics",
            {"width": 96, "depth": 2, "dropout": 0.1, "tied": True},
            {"context": 30, "train": 100_000, "test": 40_001},
            32,
            seed=2,
        ),
        epochs=8,
    ),
    "topics_transformer": Pair(
        Variant(
            "transformer_lm",
            "topics",
            {"heads": 4, "head_width": 16, "depth": 2},
            {"context": 64, "train": 100_000, "test": 25_601},
            16,
            seed=3,
        ),
        epochs=10,
    ),
    "fashion_cnn": Pair(
        Variant(
            "cnn", "fashion", {"width": 16, "depth": 3}, {"train": 6_000, "test": 4_000}, 64, 4
        ),
        epochs=8,
    ),
    "fashion_cnn_groupnorm": Pair(
        Variant(
            "cnn",
            "fashion",
            {"width": 12, "depth": 4, "norm": "group", "activation": "gelu"},
            {"train": 4_000, "test": 2_000},
            32,
            seed=5,
        ),
        epochs=8,
    ),
}

SMOKE = {
    "digits_mlp": Pair(
        Variant("mlp", "digits", {"width": 40, "depth": 2}, batch_size=64, seed=6), epochs=5
    ),
    "topics_lstm_tiny": Pair(
        language(
            "rnn_lm",
            "topics",
            {"width": 32},
            {"context": 20, "train": 20_000, "test": 4_001},
            20,
            seed=7,
        ),
        epochs=3,
    ),
}
