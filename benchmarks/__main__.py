"""Run benchmarks, and write their results into the pages.

python -m benchmarks list
python -m benchmarks run NAME [--help | settings]
python -m benchmarks table NAME
"""

import sys

import tyro

from benchmarks.registry import NAMES, benchmark
from benchmarks.results import show
from benchmarks.runner import run
from benchmarks.settings import Settings


def main(arguments: list[str]) -> None:
    """Run one command; raise SystemExit with one line if it doesn't exist."""
    match arguments:
        case ["list"]:
            for name in NAMES:
                print(f"{name:16} {benchmark(name).__doc__.splitlines()[0]}")
        case ["run", name, *rest] if name in NAMES:
            kind = getattr(benchmark(name), "Settings", Settings)
            run(benchmark(name), tyro.cli(kind, prog=f"python -m benchmarks run {name}", args=rest))
        case ["table", name] if name in NAMES:
            show(benchmark(name))
        case ["run" | "table", name, *_] if name not in NAMES:
            raise SystemExit(f"error: no benchmark {name!r}; choose one of {', '.join(NAMES)}")
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (OSError, ValueError) as fault:
        raise SystemExit(f"error: {fault}") from None
