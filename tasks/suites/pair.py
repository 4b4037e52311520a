"""An evaluation pair: an architecture on a data set, and the baseline's budget."""

from typing import NamedTuple

from tasks.variant import Variant


class Pair(NamedTuple):
    """A variant without a target, and the baseline's budget in epochs, which sets the target."""

    variant: Variant
    epochs: int


def language(
    family: str, data: str, arch: dict, options: dict, batch_size: int, seed: int
) -> Variant:
    """Return a recurrent language model with the quirks of the challenge's language task."""
    return Variant(family, data, arch, options, batch_size, seed, clip=0.4, oracle="language")
