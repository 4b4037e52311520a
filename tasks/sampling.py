"""Small random training variants that differ in what determines the best learning rate."""

import math
import random
from dataclasses import replace
from typing import Any

from tasks.architectures import FAMILIES, TRAINING_FAMILIES, Choices
from tasks.augment import augmented
from tasks.data import NEEDS_FILES
from tasks.options import Options, Value, choose
from tasks.variant import Variant

INIT_SCALE = 2.5  # log-uniform between 1 / 2.5 and 2.5
REPARAM = 1.0  # log2; a factor of up to 2 either way
LABEL_NOISE = 0.2  # largest share
NATURAL = 0.5  # share of variants with unaltered scales and labels
_PLAIN: dict[str, Any] = {"init_scale": 1.0, "reparam": 0.0, "label_noise": 0.0}


def sample_variant(
    family: str, seed: int, files: bool = False, augment: bool = False, held_out: bool = False
) -> Variant:
    """Return a random variant of a family. Equal arguments give equal variants everywhere.

    files: also draw from data sets that need files (`tasks.data.NEEDS_FILES`), present or not. If
        they are absent, building the variant raises DataError.
    augment: also draw the augmentations of `tasks.augment`.
    held_out: allow families kept for validation. Never train on such a draw.
    Raises VariantError for an unknown family, and for a held-out one unless allowed.
    """
    choose("family", family, FAMILIES if held_out else dict.fromkeys(TRAINING_FAMILIES))
    rng, space = random.Random(f"{family}/{seed}"), FAMILIES[family]
    data = rng.choice([name for name in space.data if files or name not in NEEDS_FILES])
    variant = Variant(
        family,
        data,
        arch=draw_options(rng, space.options),
        data_options=draw_options(rng, space.data[data]),
        batch_size=rng.choice(space.batch_sizes),
    )
    variant = _vary(variant, rng)
    return augmented(variant, random.Random(f"{family}/{seed}/augment")) if augment else variant


def sample_group(
    family: str,
    seed: int,
    count: int,
    files: bool = False,
    augment: bool = False,
    held_out: bool = False,
) -> list[Variant]:
    """Return `count` variants for one BatchedTask, with one architecture, data and batch size."""
    rng = random.Random(f"{family}/{seed}/group")
    shared = sample_variant(family, seed, files, augment, held_out)
    return [_vary(shared, rng) for _ in range(count)]


def draw_options(rng: random.Random, choices: Choices) -> dict[str, Value]:
    """Return one random value per name."""
    return {name: rng.choice(values) for name, values in choices.items()}


def redraw_options(rng: random.Random, options: Options, choices: Choices) -> dict[str, Value]:
    """Return `options` with new values for the names in `choices`."""
    return {**dict(options), **draw_options(rng, choices)}


def log_uniform(rng: random.Random, least: float, most: float) -> float:
    """Return a random number whose logarithm is uniform."""
    return math.exp(rng.uniform(math.log(least), math.log(most)))


def _vary(variant: Variant, rng: random.Random) -> Variant:
    variant = replace(variant, seed=rng.getrandbits(31), **_PLAIN)
    if rng.random() < NATURAL:
        return variant
    return replace(
        variant,
        init_scale=INIT_SCALE ** rng.uniform(-1, 1),
        reparam=rng.choice((0.0, REPARAM, REPARAM)),
        label_noise=rng.choice((0.0, 0.0, rng.uniform(0, LABEL_NOISE))),
    )
