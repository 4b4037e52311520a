"""Random training variants with so little data that a network can memorise it within the run.

Variants of `tasks.working_size` read most of their data once, so training and test loss fall
together. Here the baseline overfits in many runs: its test loss rises again while its training loss
still falls. This happens if the target is near the best loss that a data set allows.
"""

import random
from collections.abc import Mapping
from dataclasses import replace

from tasks.architectures import Choices
from tasks.sampling import draw_options, log_uniform, redraw_options, sample_variant
from tasks.variant import Variant

# A family is drawn as often as it is named.
USUAL = "cnn cnn cnn residual_mlp residual_mlp transformer_lm transformer_lm rnn_lm mlp".split()
SIZES: Mapping[str, Choices] = {
    "mlp": {"width": (64, 96, 128), "depth": (2, 3)},
    "residual_mlp": {"width": (64, 96, 128), "depth": (2, 3, 4)},
    "cnn": {"width": (12, 16, 24), "depth": (3, 3, 4)},
    "rnn_lm": {"width": (64, 96, 128)},
    "transformer_lm": {"heads": (2, 4), "head_width": (12, 16, 24), "depth": (2, 3, 4)},
}
TEST_IMAGES, TEST_CHARACTERS = 1_500, 6_000
_SEEDS = range(1, 9)
_IMAGES: Choices = {
    "pixels": (12, 16),
    "classes": (10, 20, 36),
    "train": (2_000, 4_000, 6_000),
    "test": (TEST_IMAGES,),
    "seed": _SEEDS,
}
_FOR_MLPS: Mapping[str, Choices] = {
    "digits": {"pixels": (8, 16)},
    "clusters": {**_IMAGES, "modes": (4, 8), "noise": (0.8, 0.9)},
    "teacher": {
        "pixels": (8, 12),
        "classes": (5, 10, 20),
        "width": (8, 16),
        "train": (3_000, 6_000),
        "test": (TEST_IMAGES,),
        "seed": _SEEDS,
    },
}
_FOR_CNNS: Mapping[str, Choices] = {
    "digits": {"pixels": (8, 16)},
    "clusters": {**_IMAGES, "modes": (1, 2, 4), "noise": (0.5, 0.6, 0.7, 0.8), "rolled": (True,)},
}
_TEXT: Mapping[str, Choices] = {
    "topics": {
        "alphabet": ("ascii",),
        "context": (16, 32),
        "train": (15_000, 25_000, 40_000, 60_000),
        "test": (TEST_CHARACTERS,),
    }
}
LITTLE_DATA: Mapping[str, Mapping[str, Choices]] = {
    "mlp": _FOR_MLPS,
    "residual_mlp": _FOR_MLPS,
    "cnn": _FOR_CNNS,
    "rnn_lm": _TEXT,
    "transformer_lm": _TEXT,
}
BATCHES, STREAMS = (16, 32, 64), (8, 16, 32)
SHORTEST, LONGEST = 300, 1_500  # steps of the baseline


def sample_scarce(seed: int) -> tuple[Variant, int]:
    """Return a random variant with little data, and the baseline's number of steps on it.

    Equal seeds give equal results on every machine. No data set needs files.
    """
    rng = random.Random(f"scarce/{seed}")
    family = rng.choice(USUAL)
    variant = sample_variant(family, rng.getrandbits(30))
    data = rng.choice(list(LITTLE_DATA[family]))
    horizon = round(log_uniform(rng, SHORTEST, LONGEST))
    scarce = replace(
        variant,
        arch=redraw_options(rng, variant.arch, SIZES[family]),
        data=data,
        data_options=draw_options(rng, LITTLE_DATA[family][data]),
        batch_size=rng.choice(STREAMS if data == "topics" else BATCHES),
    )
    return scarce, horizon
