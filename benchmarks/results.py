"""Result files, and where they are shown.

Result files are JSON, or grow by one line per row. Tables are shown in blocks of pages, pictures
beside the result files.
"""

import io
import json
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from writing.files import json_text, write_atomically, write_text
from writing.markdown import insert
from writing.statistics import grouped

FOLDER = Path("docs/results")


def read(path: Path) -> dict:
    """Return the content of a result file; for a file of lines, its rows."""
    text = path.read_text()
    if path.suffix != ".jsonl":
        return json.loads(text)
    if text and not text.endswith("\n"):
        raise ValueError(f"{path}: the last line is not whole; delete it")
    return {"rows": [json.loads(line) for line in text.splitlines()]}


def append(path: Path, row: object) -> None:
    """Append a row to a file of lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json_text(row))


def by_family(rows: Iterable[dict]) -> dict:
    """Return the rows of each family, sorted by name, and of all families."""
    return {**dict(sorted(grouped(rows, "family").items())), "all": rows}


def result_file(benchmark: ModuleType) -> Path:
    """Return the path of a benchmark's result."""
    return getattr(benchmark, "RESULT", FOLDER / f"{benchmark.NAME}.json")


def result_of(benchmark: ModuleType) -> Any:
    """Return the result that a benchmark's table is made from."""
    return getattr(benchmark, "read_result", read)(result_file(benchmark))


def show(benchmark: ModuleType) -> None:
    """Write a benchmark's table into its page, and draw its picture at its own resolution."""
    if hasattr(benchmark, "figure"):
        picture = io.BytesIO()
        benchmark.figure(result_of(benchmark)).savefig(picture, format="png")
        write_atomically(FOLDER / f"{benchmark.NAME}.png", picture.getvalue())
    if hasattr(benchmark, "table") and benchmark.PAGE:
        write_text(Path(benchmark.PAGE), shown(benchmark))


def shown(benchmark: ModuleType) -> str:
    """Return the text of a benchmark's page with the table in its block."""
    table, page = benchmark.table(result_of(benchmark)), Path(benchmark.PAGE)
    try:
        return insert(page.read_text(encoding="utf-8"), benchmark.NAME, table)
    except ValueError as fault:
        raise ValueError(f"{page}: {fault}") from None
