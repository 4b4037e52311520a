"""Random training variants: small, and different in what makes a learning rate right or wrong."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tasks.architectures import FAMILIES
from tasks.data import DataError
from tasks.data.fashion import find_fashion
from tasks.options import Value, choose
from tasks.variant import Variant

INIT_SCALE = 2.5  # log-uniform, either way
REPARAM = 1.0  # log2: a factor of 2 either way
LABEL_NOISE = 0.2  # largest share


def sample_variant(family: str, seed: int, root: Path | None = None) -> Variant:
    """A random variant of a family, the same for the same seed.

    Data sets whose files are absent are left out, so the draw may differ between machines that
    have them and ones that do not; the description always says what was drawn.
    Raises VariantError for an unknown family.
    """
    choose("family", family, FAMILIES)
    rng, space = random.Random(f"{family}/{seed}"), FAMILIES[family]
    data = rng.choice([name for name in space.data if _present(name, root)])
    return _vary(
        Variant(
            family,
            data,
            arch=_draw(rng, space.options),
            data_options=_draw(rng, space.data[data]),
            batch_size=rng.choice(space.batch_sizes),
        ),
        rng,
    )


def sample_group(family: str, seed: int, count: int, root: Path | None = None) -> list[Variant]:
    """`count` variants that one BatchedTask takes: they share architecture, data and batch size."""
    rng = random.Random(f"{family}/{seed}/group")
    shared = sample_variant(family, seed, root)
    return [_vary(shared, rng) for _ in range(count)]


def _draw(rng: random.Random, choices: Mapping[str, Sequence[Value]]) -> dict[str, Value]:
    return {name: rng.choice(values) for name, values in choices.items()}


def _vary(variant: Variant, rng: random.Random) -> Variant:
    return replace(
        variant,
        seed=rng.getrandbits(31),
        init_scale=INIT_SCALE ** rng.uniform(-1, 1),
        reparam=rng.choice((0.0, REPARAM, REPARAM)),
        label_noise=rng.choice((0.0, 0.0, rng.uniform(0, LABEL_NOISE))),
    )


def _present(data: str, root: Path | None) -> bool:
    if data != "fashion":
        return True
    try:
        find_fashion(root)
    except DataError:
        return False
    return True
