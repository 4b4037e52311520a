"""`python -m tasks`: look at what can be trained, measure targets, fetch data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal

import torch
import tyro
from rich.console import Console
from rich.table import Table

from tasks.architectures import FAMILIES
from tasks.data import DATA, DataError, kind_of
from tasks.data.fashion import DEFAULT_ROOT, download_fashion
from tasks.options import VariantError, choose, complete
from tasks.suites import SUITES, measure, with_target
from tasks.variant import Variant


def list_() -> None:
    """List the families, data sets and suites, with the defaults of their options."""
    table = Table("kind", "name", "description")
    for name, family in FAMILIES.items():
        table.add_row("family", name, _options(f"family {name!r}", family.module))
    for name, loader in DATA.items():
        kind = kind_of(name).__name__.lower()
        table.add_row("data set", name, f"{kind}: {_options(f'data set {name!r}', loader)}")
    for name, pairs in SUITES.items():
        table.add_row("suite", name, ", ".join(pairs))
    Console().print(table)


def show(name: tyro.conf.Positional[str]) -> None:
    """Print an evaluation pair's description as JSON.

    Args:
        name: A pair of a suite, as `list` names it.
    """
    variant = _pair(name)
    print(json.dumps({"name": name, "digest": variant.digest} | variant.to_dict(), indent=2))


def measure_(name: tyro.conf.Positional[str], root: Path | None = None) -> None:
    """Run the baseline on the pairs of a suite, on one thread, and print the targets as JSON.

    Args:
        name: A suite.
        root: The folder of downloaded data.
    """
    choose("suite", name, SUITES)
    torch.set_num_threads(1)
    print(json.dumps({pair: measure(task, root) for pair, task in SUITES[name].items()}, indent=2))


def download(data: tyro.conf.Positional[Literal["fashion"]], root: Path = DEFAULT_ROOT) -> None:
    """Download a data set.

    Args:
        data: The data set.
        root: The folder to put it in.
    """
    Console().print(f"{data}: {download_fashion(root)}")


def _pair(name: str) -> Variant:
    pairs = {pair: task for suite in SUITES.values() for pair, task in suite.items()}
    choose("pair", name, pairs)
    return with_target(name, pairs[name])


def _options(owner: str, configured) -> str:
    return ", ".join(f"{key}={value}" for key, value in complete(owner, configured, {}))


def main() -> int:
    commands = {"list": list_, "show": show, "measure": measure_, "download": download}
    try:
        tyro.extras.subcommand_cli_from_dict(commands, prog="python -m tasks")
    except (VariantError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
