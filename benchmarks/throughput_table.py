"""The throughput table of docs/metalearn.md, from the result file of ``make throughput``.

    python -m benchmarks.throughput_table docs/results/throughput.json docs/metalearn.md

writes the table between its two markers.
"""

from benchmarks import page as pages
from writing.markdown import table as table_of

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
    version = result["jax"]["version"]
    jax = f"; JAX {version}" if version else ""
    source = f"Inner steps per second{jax}. {pages.origin(result)}"
    return f"{table_of(COLUMNS, map(cells, result['rows']))}\n\n{source}"


if __name__ == "__main__":
    pages.table_command("throughput", markdown)
