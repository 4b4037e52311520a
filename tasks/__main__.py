"""`python -m tasks`: list and show tasks, measure targets, download data."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import tyro
from rich.console import Console
from rich.table import Table

from tasks.architectures import FAMILIES
from tasks.data import DATA, HELD_OUT, kind_of
from tasks.data.cifar10 import download_cifar10
from tasks.data.fashion import download_fashion
from tasks.data.formats import DataError
from tasks.data.places import DEFAULT_ROOT
from tasks.data.wikitext2 import download_wikitext2
from tasks.device import why_unusable
from tasks.options import VariantError, choose, complete
from tasks.show import print_pair, write_picture
from tasks.suites import SUITES, measure_suite, targets
from tasks.table import sample_table

DOWNLOADS = {
    "fashion": download_fashion,
    "cifar10": download_cifar10,
    "wikitext2": download_wikitext2,
}


def list_() -> None:
    """List the families, data sets and suites, with the defaults of their options."""
    table = Table("kind", "name", "description")
    for name, family in FAMILIES.items():
        kind = "held-out family" if family.held_out else "family"
        table.add_row(kind, name, _options(f"family {name!r}", family.module))
    for name, loader in DATA.items():
        kind = "held-out data set" if name in HELD_OUT else "data set"
        content = kind_of(name).__name__.lower()
        table.add_row(kind, name, f"{content}: {_options(f'data set {name!r}', loader)}")
    for name, pairs in SUITES.items():
        table.add_row("suite", name, ", ".join(pairs))
    Console().print(table)


def show(
    name: tyro.conf.Positional[str], out: Path | None = None, root: Path | None = None
) -> None:
    """Show an evaluation pair: its description, samples of its data, baseline curve and target.

    Args:
        name: Name of a pair, as shown by `list`.
        out: Write a picture to this file (PNG, PDF or SVG) instead of printing to the terminal.
        root: Folder of downloaded data.
    """
    every = {pair: task for suite in SUITES.values() for pair, task in suite.items()}
    choose("pair", name, every)
    variant, record = every[name].variant, targets.read().get(name)
    if not targets.is_of(record, every[name]):
        record = None
    if out is None:
        print_pair(name, variant, record, root)
    else:
        write_picture(out, name, variant, record, root)


def sample(n: int = 20, seed: int = 0, augment: bool = False) -> None:
    """Print a table of random training variants, one family after another.

    Args:
        n: Number of variants, at least 1.
        seed: Seed of the first variant. The others have the following seeds.
        augment: Also draw augmentations.
    """
    if n < 1:
        raise VariantError(f"n must be at least 1, not {n}")
    Console().print(sample_table(n, seed, augment))


def measure(
    name: tyro.conf.Positional[str],
    out: Path = targets.SHIPPED,
    root: Path | None = None,
    device: str = "cpu",
) -> None:
    """Measure the targets that a suite still lacks, by running the baseline on one thread.

    An interrupted run resumes at the unfinished pair.

    Args:
        name: Name of a suite.
        out: File of targets to extend. By default the file that suites read.
        root: Folder of downloaded data.
        device: Device to train on, "cpu" or "cuda".
    """
    choose("suite", name, SUITES)
    if reason := why_unusable(device):
        raise VariantError(f"device {device!r} cannot be used: {reason}")
    torch.set_num_threads(1)
    measure_suite(name, out, root, device, report=_report)


def download(data: tyro.conf.Positional[str], root: Path = DEFAULT_ROOT) -> None:
    """Download a data set.

    Args:
        data: "fashion", "cifar10" or "wikitext2".
        root: Folder to download to.
    """
    choose("download", data, DOWNLOADS)
    Console().print(f"{data}: {DOWNLOADS[data](root)}")


def _report(pair: str, record: Mapping[str, Any]) -> None:
    steps = f"epoch {record['epoch']} of {record['epochs']}"
    print(f"{pair}: target {record['target']} ({steps}, {record['seconds']} s)", flush=True)


def _options(owner: str, configured: Callable) -> str:
    return ", ".join(f"{key}={value}" for key, value in complete(owner, configured, {}))


def main() -> int:
    commands: dict[str, Callable] = {
        "list": list_,
        "show": show,
        "sample": sample,
        "measure": measure,
        "download": download,
    }
    try:
        tyro.extras.subcommand_cli_from_dict(commands, prog="python -m tasks")
    except (VariantError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
