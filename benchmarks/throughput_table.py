"""The throughput table of docs/metalearn.md, from the result file of ``make throughput``.

    python -m benchmarks.throughput_table docs/results/throughput.json docs/metalearn.md

writes the table between its two markers.
"""

import json
import sys
from pathlib import Path

import tyro

from policy.checkpoint import write_atomically

BEGIN, END = "<!-- throughput: begin -->", "<!-- throughput: end -->"
WAYS = ("loop", "jax", "eager", "graph", "floor")
COLUMNS = (
    "family",
    "weights",
    "batch",
    "particles",
    *WAYS,
    "best / loop",
    "best / jax",
    "of floor",
    "kB / particle",
)


def cells(row):
    """The texts of one row, in the order of COLUMNS."""
    best = max(row[way] or 0.0 for way in ("eager", "graph"))
    counts = [row["family"], *(f"{row[name]:,}" for name in ("weights", "batch", "particles"))]
    rates = ["-" if row[way] is None else f"{row[way]:,.0f}" for way in WAYS]
    ratios = ["-" if not row[way] else f"{best / row[way]:.1f}x" for way in ("loop", "jax")]
    size = f"{row['state bytes per particle'] / 1000:,.0f}"
    return [*counts, *rates, *ratios, f"{best / row['floor']:.0%}", size]


def markdown(result):
    """Table and provenance of a result."""
    machine = result["machine"]
    lines = [COLUMNS, ["---"] * len(COLUMNS), *map(cells, result["rows"])]
    versions = ", ".join(f"{k} {machine[k]}" for k in ("python", "torch", "jax") if machine[k])
    source = (
        f"Inner steps per second of one thread on {machine['device']}; {versions}; commit "
        f"{result['commit']}, seed {result['settings']['seed']}; `{' '.join(result['command'])}`."
    )
    return "\n".join(["| " + " | ".join(line) + " |" for line in lines] + ["", source])


def insert(text, table):
    """``text`` with what stands between the markers replaced; ValueError without markers."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"no lines '{BEGIN}' and '{END}'")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def main(result: tyro.conf.Positional[Path], page: tyro.conf.Positional[Path]) -> None:
    """Write the table of a result file into a page.

    Args:
        result: file that benchmarks.meta_throughput wrote.
        page: Markdown file with the two markers.
    """
    try:
        text = insert(page.read_text(), markdown(json.loads(result.read_text())))
    except (OSError, ValueError, KeyError) as fault:
        print(f"error: {result} or {page}: {fault}", file=sys.stderr)
        sys.exit(2)
    write_atomically(page, text.encode())


if __name__ == "__main__":
    tyro.cli(main)
