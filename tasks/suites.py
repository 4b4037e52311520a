"""Named sets of evaluation pairs (architecture, data set) with fixed targets.

The rule for every target, fixed before any learned policy was looked at: the test loss of the
baseline, Adam(1e-3) at the default batch size with one test per epoch, after 60 % of the pair's
budget of epochs (rounded up), rounded up to 3 decimals. `measure` applies it; its results are in
`tasks/suite_targets.py`.

No pair lies within what `tasks.sampling` draws: the networks are larger, the digits have 16 pixels
a side instead of 8, Fashion-MNIST 28 instead of 7 or 14, and the text keeps all of ASCII.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from tasks.build import build_task
from tasks.data import DataError
from tasks.data.fashion import find_fashion
from tasks.options import choose
from tasks.reference import adam_epochs
from tasks.suite_targets import MEASURED
from tasks.variant import Variant

TARGET_SHARE = 0.6


class Pair(NamedTuple):
    """An evaluation pair before it has a target, and the baseline's budget of epochs."""

    variant: Variant
    epochs: int


_LSTM_TEXT = {"context": 30, "train": 100_000, "test": 40_001}
_TRANSFORMER_TEXT = {"context": 64, "train": 100_000, "test": 25_601}

SUITES: dict[str, dict[str, Pair]] = {
    "demo": {
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
    },
    "smoke": {
        "digits_mlp": Pair(
            Variant("mlp", "digits", arch={"width": 40, "depth": 2}, batch_size=64, seed=6),
            epochs=5,
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
    },
}


def suite(name: str, root: Path | None = None) -> dict[str, Variant]:
    """The pairs of a suite with their targets, by name.

    Pairs whose data set's files are absent are left out, with a notice on stderr.
    Raises VariantError for an unknown suite.
    """
    choose("suite", name, SUITES)
    pairs = {}
    for pair_name, pair in SUITES[name].items():
        if pair.variant.data == "fashion" and (missing := _missing_fashion(root)):
            print(f"notice: {name} goes without {pair_name}: {missing}", file=sys.stderr)
            continue
        pairs[pair_name] = with_target(pair_name, pair)
    return pairs


def with_target(pair_name: str, pair: Pair) -> Variant:
    """The pair's variant with the target that was measured for it."""
    return replace(pair.variant, target=MEASURED[pair_name]["target"])


def measure(pair: Pair, root: Path | None = None) -> dict:
    """Run the baseline over the pair's whole budget and apply the rule for its target.

    Returns `target`, the epoch that set it, the test `losses` by epoch, and `seconds` in all.
    """
    torch.manual_seed(pair.variant.seed)  # dropout follows torch's global generator
    losses, seconds = adam_epochs(build_task(pair.variant, root=root), pair.epochs)
    epoch = math.ceil(TARGET_SHARE * pair.epochs)
    target = math.ceil(losses[epoch - 1] * 1000) / 1000
    return {
        "target": target,
        "epoch": epoch,
        "seconds": round(seconds, 1),
        "losses": [round(loss, 4) for loss in losses],
    }


def _missing_fashion(root: Path | None) -> str:
    try:
        find_fashion(root)
    except DataError as error:
        return str(error)
    return ""
