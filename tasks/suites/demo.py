"""Pairs for a laptop: `demo` to score a submission within minutes, `smoke` for tests.

None lies within the range of `tasks.sampling`: the digits have 16 pixels a side instead of 8,
Fashion-MNIST 28 instead of 7 or 14, texts longer contexts, and some networks are larger. But their
architecture families are those of training: `validation` has others.
"""

from tasks.suites.pair import Pair
from tasks.variant import Variant

_LSTM_TEXT = {"context": 30, "train": 100_000, "test": 40_001}
_TRANSFORMER_TEXT = {"context": 64, "train": 100_000, "test": 25_601}

DEMO = {
    "digits_cnn_batchnorm": Pair(
        Variant(
            "cnn",
            "digits",
            arch={"width": 32, "depth": 3, "norm": "batch"},
            data_options={"pixels": 16},
            batch_size=64,
            seed=1,
        ),
        epochs=20,
    ),
    "topics_lstm": Pair(
        Variant(
            "rnn_lm",
            "topics",
            arch={"width": 96, "depth": 2, "dropout": 0.1, "tied": True},
            data_options=_LSTM_TEXT,
            batch_size=32,
            seed=2,
            clip=0.4,
            oracle="language",
        ),
        epochs=8,
    ),
    "topics_transformer": Pair(
        Variant(
            "transformer_lm",
            "topics",
            arch={"heads": 4, "head_width": 16, "depth": 2},
            data_options=_TRANSFORMER_TEXT,
            batch_size=16,
            seed=3,
        ),
        epochs=10,
    ),
    "fashion_cnn": Pair(
        Variant(
            "cnn",
            "fashion",
            arch={"width": 16, "depth": 3, "norm": "none"},
            data_options={"pixels": 28, "train": 6_000, "test": 4_000},
            batch_size=64,
            seed=4,
        ),
        epochs=8,
    ),
    "fashion_cnn_groupnorm": Pair(
        Variant(
            "cnn",
            "fashion",
            arch={"width": 12, "depth": 4, "norm": "group", "activation": "gelu"},
            data_options={"pixels": 28, "train": 4_000, "test": 2_000},
            batch_size=32,
            seed=5,
        ),
        epochs=8,
    ),
}

SMOKE = {
    "digits_mlp": Pair(
        Variant("mlp", "digits", arch={"width": 40, "depth": 2}, batch_size=64, seed=6), epochs=5
    ),
    "topics_lstm_tiny": Pair(
        Variant(
            "rnn_lm",
            "topics",
            arch={"width": 32},
            data_options={"context": 20, "train": 20_000, "test": 4_001},
            batch_size=20,
            seed=7,
            clip=0.4,
            oracle="language",
        ),
        epochs=3,
    ),
}
