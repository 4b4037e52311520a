"""The networks of the challenge's samples at full size, on so little data that a CPU suffices.

Architectures and batches are those of `gpu`. They have 11 and 32 million weights, about a hundred
times those of meta-training. An epoch has 40 or 30 steps, and a run takes minutes. So this suite
measures the effect of size, not of length. Neither pair is held out: the LSTM is a training family,
and Fashion-MNIST is trained on. The LSTM's budget ends after its plateau at word frequencies.
"""

from dataclasses import replace

from tasks.suites.gpu import GPU
from tasks.suites.pair import Pair


def _smaller(name: str, options: dict, seed: int, epochs: int) -> Pair:
    variant = GPU[name].variant
    options = {**dict(variant.data_options), **options}
    return Pair(replace(variant, data_options=options, seed=seed), epochs)


FULL_SIZE = {
    "full_resnet18_fashion": _smaller(
        "resnet18_fashion", {"train": 5_120, "test": 1_000}, 51, epochs=5
    ),
    "full_lstm_source_words": _smaller(
        "lstm_source_words", {"train": 57_664, "test": 8_001}, 52, epochs=7
    ),
}
