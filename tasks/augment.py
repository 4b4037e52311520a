"""Draw the augmentations that sampling leaves off by default."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tasks.architectures import Choices
from tasks.data import kind_of
from tasks.data.formats import Images
from tasks.options import Options, Value
from tasks.variant import Init, Variant

INITS: Sequence[Init] = ("default", "default", "normal", "xavier", "orthogonal")
INPUT_SCALE = 3.0  # log-uniform between 1 / 3 and 3
REPARAM_ALL = 2.0  # log2; a factor of up to 4 either way
GRADIENT_NOISE = 1.0  # largest, relative to a gradient's root mean square
CLIPS = (0.1, 0.4, 1.0)
TEST_NOISE = 0.02  # largest relative standard deviation
ALTERATIONS = {
    "colour": (False, False, True),
    "permuted": (False, False, True),
    "classes": (3, 5, 10),
}
DROPOUT = {"dropout": (0.0, 0.0, 0.2, 0.4)}  # the challenge's LSTM has 0.4


def augmented(variant: Variant, rng: random.Random) -> Variant:
    """Return `variant` with all augmentations drawn. Most draws leave most of them off.

    `stale` stays 0, since batched tasks do not support it.
    """
    images = kind_of(variant.data) is Images
    return replace(
        variant,
        data_options=_redrawn(variant.data_options, ALTERATIONS, rng),
        init=rng.choice(INITS),
        reparam_all=rng.choice((0.0, REPARAM_ALL)),
        input_scale=INPUT_SCALE ** rng.choice((0.0, rng.uniform(-1, 1))) if images else 1.0,
        loss=_loss(variant, rng),
        gradient_noise=_sometimes(rng, rng.uniform(0, GRADIENT_NOISE)),
        clip=rng.choice((None, None, None, rng.choice(CLIPS))),
        precision=rng.choice(("full", "full", "full", "bfloat16")),
        test_noise=_sometimes(rng, rng.uniform(0, TEST_NOISE)),
        arch=_redrawn(variant.arch, DROPOUT, rng),
    )


def _redrawn(options: Options, choices: Choices, rng: random.Random) -> dict[str, Value]:
    """Return `options` with new draws for the names in `choices`, if it has all of these."""
    options = dict(options)
    if not choices.keys() <= options.keys():
        return options
    return options | {name: rng.choice(values) for name, values in choices.items()}


def _loss(variant: Variant, rng: random.Random) -> Any:
    if variant.loss != "cross_entropy" or kind_of(variant.data) is not Images:
        return variant.loss
    return rng.choice(("cross_entropy", "cross_entropy", "cross_entropy", "squared"))


def _sometimes(rng: random.Random, value: float) -> float:
    return rng.choice((0.0, 0.0, 0.0, value))
