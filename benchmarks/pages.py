"""Where results are shown: tables in blocks of pages, and pictures beside the result files."""

import io
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.results import FOLDER, read
from writing.files import write_atomically, write_text
from writing.markdown import insert


def result_file(benchmark: ModuleType) -> Path:
    """Return where a benchmark keeps its result."""
    return getattr(benchmark, "RESULT", FOLDER / f"{benchmark.NAME}.json")


def show(benchmark: ModuleType) -> None:
    """Write a benchmark's table into its page, and draw its picture, in its own resolution."""
    if hasattr(benchmark, "figure"):
        picture = io.BytesIO()
        benchmark.figure(content(benchmark)).savefig(picture, format="png")
        write_atomically(FOLDER / f"{benchmark.NAME}.png", picture.getvalue())
    if hasattr(benchmark, "table") and benchmark.PAGE:
        write_text(Path(benchmark.PAGE), shown(benchmark))


def content(benchmark: ModuleType) -> Any:
    """Return what a benchmark's table is made of."""
    return getattr(benchmark, "read_result", read)(result_file(benchmark))


def shown(benchmark: ModuleType) -> str:
    """Return the text of a benchmark's page with the table in its block."""
    table, page = benchmark.table(content(benchmark)), Path(benchmark.PAGE)
    try:
        return insert(page.read_text(encoding="utf-8"), benchmark.NAME, table)
    except ValueError as fault:
        raise ValueError(f"{page}: {fault}") from None
