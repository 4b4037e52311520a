"""Random training variants of working size: one network takes milliseconds per step.

Variants of `tasks.sampling` are small, so that a thousand can be trained at once. Here families are
the same, but widths, contexts and batches are as large as in the evaluation suites or larger. Some
networks are wide with small batches, where high rates do most harm.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tasks.architectures import Choices
from tasks.data import NEEDS_FILES
from tasks.options import Value
from tasks.sampling import log_uniform, redraw_options, sample_group, sample_variant
from tasks.variant import Variant

# A family is drawn as often as it is named.
USUAL = (
    "mlp cnn cnn rnn_lm rnn_lm transformer_lm transformer_lm transformer_lm residual_mlp "
    "residual_mlp autoencoder elman_lm regressor regressor"
).split()
WIDE = "transformer_lm transformer_lm transformer_lm rnn_lm residual_mlp cnn".split()
WIDE_SHARE = 0.4
USUAL_SIZES: Mapping[str, Choices] = {
    "mlp": {"width": (64, 96, 128, 192)},
    "residual_mlp": {"width": (64, 96, 128, 192)},
    "autoencoder": {"width": (64, 96, 192)},
    "regressor": {"width": (96, 128, 192, 256)},
    "cnn": {"width": (12, 16, 24, 32)},
    "rnn_lm": {"width": (48, 64, 96, 128)},
    "elman_lm": {"width": (64, 96, 128)},
    "transformer_lm": {"heads": (2, 4), "head_width": (8, 16, 24), "depth": (1, 2, 3)},
}
WIDE_SIZES: Mapping[str, Choices] = {
    "residual_mlp": {"width": (192, 256), "depth": (1, 2)},
    "cnn": {"width": (24, 32, 48)},
    "rnn_lm": {"width": (64, 128, 192)},
    "transformer_lm": {"heads": (2, 4), "head_width": (16, 24, 32, 48), "depth": (1, 1, 2)},
}
USUAL_BATCHES, USUAL_CONTEXTS = (16, 32, 32, 64), (16, 32)
USUAL_STREAMS = (8, 16, 32)  # batch sizes of text
WIDE_BATCHES, WIDE_STREAMS, WIDE_CONTEXTS = (16, 32), (4, 4, 8), (16, 32)
GROUP_INITS = "default", "default", "small", "small", "orthogonal", "normal"
TEST_CHARACTERS, TEST_IMAGES = 3_000, 1_000  # small, since tests are frequent
SHORTEST, LONGEST, LONGEST_WIDE = 150, 1_000, 500  # steps of the baseline


def sample_working_size(seed: int, files: bool = False) -> tuple[Variant, int]:
    """Return a random variant of a training family, and the baseline's number of steps on it.

    Equal arguments give equal results on every machine. `files` as in
    `tasks.sampling.sample_variant`.
    """
    rng = random.Random(f"working size/{seed}")
    is_wide = rng.random() < WIDE_SHARE
    family = rng.choice(WIDE if is_wide else USUAL)
    variant = sample_variant(family, rng.getrandbits(30), files)
    sizes, contexts = (WIDE_SIZES, WIDE_CONTEXTS) if is_wide else (USUAL_SIZES, USUAL_CONTEXTS)
    arch = redraw_options(rng, variant.arch, sizes[family])
    options = {**dict(variant.data_options), **_data_options(variant.data, contexts, rng)}
    horizon = log_uniform(rng, SHORTEST, LONGEST_WIDE if is_wide else LONGEST)
    batch = rng.choice(_batches(family, is_wide))
    return replace(variant, arch=arch, data_options=options, batch_size=batch), round(horizon)


def sample_working_group(family: str, seed: int, count: int, files: bool = False) -> list[Variant]:
    """Return `count` variants of working size for one BatchedTask.

    See `tasks.sampling.sample_group`. Some groups have other initial weights (`tasks.model.INITS`).
    In families of WIDE_SIZES, half of the groups are wide.
    """
    rng = random.Random(f"working size/{family}/{seed}/group")
    is_wide = family in WIDE_SIZES and rng.random() < 0.5
    variants = sample_group(family, rng.getrandbits(30), count, files)
    sizes = (WIDE_SIZES if is_wide else USUAL_SIZES)[family]
    first = variants[0]
    shared: dict[str, Any] = {
        "arch": redraw_options(rng, first.arch, sizes),
        "data_options": {
            **dict(first.data_options),
            **_data_options(first.data, USUAL_CONTEXTS[:1], rng),
        },
        "batch_size": rng.choice(_batches(family, is_wide)),
        "init": rng.choice(GROUP_INITS),
    }
    return [replace(variant, **shared) for variant in variants]


def _batches(family: str, is_wide: bool) -> Sequence[int]:
    if family.endswith("_lm"):
        return WIDE_STREAMS if is_wide else USUAL_STREAMS
    return WIDE_BATCHES if is_wide else USUAL_BATCHES


def _data_options(data: str, contexts: Sequence[int], rng: random.Random) -> dict[str, Value]:
    if data == "topics":
        return {"alphabet": "ascii", "context": rng.choice(contexts), "test": TEST_CHARACTERS}
    if data in NEEDS_FILES:  # images of several sizes
        return {"pixels": 14, "test": TEST_IMAGES}
    return {}
