"""Random training variants at the edges of their families: one layer or many, rare words, or a
last layer that starts at zero.

Variants of `tasks.working_size` have two to four layers and few symbols. A policy trained only on
these has to extrapolate in the number of tensors, and to weights that are zero.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tasks.architectures import Choices
from tasks.sampling import draw_options, log_uniform, redraw_options, sample_group, sample_variant
from tasks.variant import Init, Variant
from tasks.working_size import TEST_CHARACTERS

# A family is drawn as often as it is named.
USUAL = (
    "mlp mlp mlp regressor transformer_lm transformer_lm transformer_lm residual_mlp rnn_lm "
    "elman_lm cnn"
).split()
SIZES: Mapping[str, Choices] = {
    "mlp": {"width": (32, 64, 96, 256), "depth": (0, 0, 1, 2, 5, 6, 8)},
    "regressor": {"width": (32, 64, 96, 256), "depth": (0, 1, 5, 6)},
    "residual_mlp": {"width": (32, 64, 96), "depth": (6, 8, 12)},
    "cnn": {"width": (6, 8, 12), "depth": (4, 5)},
    "rnn_lm": {"width": (32, 64)},
    "elman_lm": {"width": (32, 64)},
    "transformer_lm": {"heads": (2, 4), "head_width": (8, 12, 16), "depth": (1, 4, 6, 8)},
}
INITS: Sequence[Init] = "default", "default", "zero_head", "small", "orthogonal"
LARGE_IMAGES: Choices = {
    "pixels": (8, 16, 28),
    "classes": (4, 10),
    "modes": (1, 2, 4),
    "noise": (0.8, 0.9, 0.95),
    "train": (4_000,),
    "seed": range(1, 9),
}
WORDS: Choices = {"vocabulary": (300, 1_000), "context": (16,)}
CHARACTERS: Choices = {"alphabet": ("ascii",), "context": (16,), "test": (TEST_CHARACTERS,)}
BATCHES, STREAMS = (16, 32, 64), (4, 8, 16)  # of images, of text
SHORTEST, LONGEST = 150, 800  # steps of the baseline


def sample_edge(seed: int) -> tuple[Variant, int]:
    """Return a random variant at the edge of its family, and the baseline's number of steps on it.

    Equal seeds give equal results on every machine. No data set needs files.
    """
    rng = random.Random(f"edge/{seed}")
    variant = sample_variant(rng.choice(USUAL), rng.getrandbits(30))
    horizon = round(log_uniform(rng, SHORTEST, LONGEST))
    return replace(variant, **_at_the_edge(variant, rng)), horizon


def sample_edge_group(family: str, seed: int, count: int) -> list[Variant]:
    """Return `count` variants for one BatchedTask (see `tasks.sampling.sample_group`), all at the
    same edge of `family`, which must be in SIZES."""
    rng = random.Random(f"edge/{family}/{seed}/group")
    variants = sample_group(family, rng.getrandbits(30), count)
    shared = _at_the_edge(variants[0], rng)
    return [replace(variant, **shared) for variant in variants]


def _at_the_edge(variant: Variant, rng: random.Random) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "arch": redraw_options(rng, variant.arch, SIZES[variant.family]),
        "init": rng.choice(INITS),
    }
    if variant.family.endswith("_lm"):
        is_wordy = variant.family != "transformer_lm" or rng.random() < 1 / 3
        data, options = ("topic_words", WORDS) if is_wordy else ("topics", CHARACTERS)
        return changes | {
            "data": data,
            "data_options": draw_options(rng, options),
            "batch_size": rng.choice(STREAMS),
        }
    if variant.data == "clusters" and changes["arch"]["depth"] == 0:
        changes["data_options"] = draw_options(rng, LARGE_IMAGES)
    return changes | {"batch_size": rng.choice(BATCHES)}
