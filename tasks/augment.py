"""Random values for the augmentations that sampling leaves neutral unless asked for them."""

from __future__ import annotations

import random
from dataclasses import replace

from tasks.data import Images, kind_of
from tasks.variant import Variant

INITS = ("default", "default", "normal", "xavier", "orthogonal")
INPUT_SCALE = 3.0  # log-uniform, either way
REPARAM_ALL = 2.0  # log2: a factor of 4 either way
GRADIENT_NOISE = 1.0  # largest, in units of a gradient's root mean square
CLIPS = (0.1, 0.4, 1.0)
TEST_NOISE = 0.02  # largest
DROPOUTS = (0.0, 0.0, 0.2, 0.4)  # where an architecture has dropout; 0.4 as the challenge's LSTM
ALTERATIONS = {
    "colour": (False, False, True),
    "permuted": (False, False, True),
    "classes": (3, 5, 10),
}


def augmented(variant: Variant, rng: random.Random) -> Variant:
    """`variant` with each augmentation drawn, most of them switched off most of the time.

    `stale` is left at 0: only single tasks have it.
    """
    images = kind_of(variant.data) is Images
    return replace(
        variant,
        data_options=_altered(variant, rng),
        init=rng.choice(INITS),
        reparam_all=rng.choice((0.0, REPARAM_ALL)),
        input_scale=INPUT_SCALE ** rng.choice((0.0, rng.uniform(-1, 1))) if images else 1.0,
        loss=_loss(variant, rng),
        gradient_noise=_sometimes(rng, rng.uniform(0, GRADIENT_NOISE)),
        clip=rng.choice((None, None, None, rng.choice(CLIPS))),
        precision=rng.choice(("full", "full", "full", "bfloat16")),
        test_noise=_sometimes(rng, rng.uniform(0, TEST_NOISE)),
        arch=_dropping(variant, rng),
    )


def _altered(variant: Variant, rng: random.Random):
    """Colours, permuted pixels and class subsets, for data sets that have them as options."""
    options = dict(variant.data_options)
    if "permuted" not in options:
        return variant.data_options
    return options | {name: rng.choice(values) for name, values in ALTERATIONS.items()}


def _dropping(variant: Variant, rng: random.Random):
    options = dict(variant.arch)
    if "dropout" not in options:
        return variant.arch
    return options | {"dropout": rng.choice(DROPOUTS)}


def _loss(variant: Variant, rng: random.Random) -> str:
    if variant.loss != "cross_entropy" or kind_of(variant.data) is not Images:
        return variant.loss
    return rng.choice(("cross_entropy", "cross_entropy", "cross_entropy", "squared"))


def _sometimes(rng: random.Random, value: float) -> float:
    return rng.choice((0.0, 0.0, 0.0, value))
