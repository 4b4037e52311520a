"""An evaluation pair: an architecture on a data set, and how long the baseline may take."""

from typing import NamedTuple

from tasks.variant import Variant


class Pair(NamedTuple):
    """variant: without its target. epochs: the baseline's budget, from which the target comes."""

    variant: Variant
    epochs: int
