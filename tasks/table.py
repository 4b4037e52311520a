"""The table of sampled variants that `python -m tasks sample` prints."""

from dataclasses import fields
from pathlib import Path

from rich.table import Table

from tasks.architectures import TRAINING_FAMILIES
from tasks.data import load_samples
from tasks.model import build_network
from tasks.sampling import sample_variant
from tasks.variant import Variant

_OWN_COLUMNS = ("family", "data", "arch", "data_options", "batch_size", "seed", "target")


def sample_table(count: int, seed: int, augment: bool) -> Table:
    """Return a table of `count` training variants, whose families alternate and seeds count up."""
    table = Table()
    for name in ("seed", "family", "architecture", "weights", "data", "batch", "modifications"):
        table.add_column(name, no_wrap=name in ("seed", "family", "weights"), overflow="fold")
    for number in range(seed, seed + count):
        family = TRAINING_FAMILIES[number % len(TRAINING_FAMILIES)]
        variant = sample_variant(family, number, augment=augment)
        table.add_row(
            str(number),
            family,
            pairs(dict(variant.arch)),
            f"{weights(variant):,}",
            f"{variant.data} {pairs(data_changes(variant))}",
            str(variant.batch_size),
            pairs(modifications(variant)),
        )
    return table


def weights(variant: Variant, root: Path | None = None) -> int:
    """Return the number of weights of a variant."""
    shape = load_samples(variant.data, variant.data_options, root).shape
    return sum(tensor.numel() for tensor in build_network(variant, shape).parameters())


def data_changes(variant: Variant) -> dict[str, object]:
    """Return the data options that differ from the defaults."""
    plain = dict(Variant(variant.family, variant.data).data_options)
    return {name: value for name, value in variant.data_options if value != plain[name]}


def modifications(variant: Variant) -> dict[str, object]:
    """Return the fields that have no column and differ from their defaults."""
    plain = Variant(variant.family, variant.data)
    names = [field.name for field in fields(Variant) if field.name not in _OWN_COLUMNS]
    own = {name: getattr(variant, name) for name in names}
    return {name: value for name, value in own.items() if value != getattr(plain, name)}


def pairs(values: dict[str, object]) -> str:
    """Format names and values as one line."""
    return " ".join(
        f"{k}={v:.3g}" if isinstance(v, float) else f"{k}={v}" for k, v in values.items()
    )
