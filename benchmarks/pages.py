"""Where results are shown: tables in blocks of pages, and pictures beside the result files."""

import io
from pathlib import Path
from types import ModuleType

from benchmarks.results import FOLDER, read
from writing.files import write_atomically, write_text
from writing.markdown import insert


def places(benchmark: ModuleType) -> dict[Path, str | None]:
    """Return the pages that show a benchmark's result files, its usual one first."""
    usual = getattr(benchmark, "RESULT", FOLDER / f"{benchmark.NAME}.json")
    also = getattr(benchmark, "ALSO", {})
    return {usual: benchmark.PAGE, **{FOLDER / f"{name}.json": also[name] for name in also}}


def show(benchmark: ModuleType) -> None:
    """Write a benchmark's tables into their pages, or draw its figure."""
    for path, page in places(benchmark).items():
        if hasattr(benchmark, "figure"):
            write_atomically(FOLDER / f"{benchmark.NAME}.png", png(benchmark.figure(read(path))))
        elif page is None:
            print(benchmark.table(read(path)))
        else:
            write_text(Path(page), shown(benchmark, path, page))


def shown(benchmark: ModuleType, path: Path, page: str) -> str:
    """Return the text of a page with the table of a result file in its block."""
    try:
        return insert(Path(page).read_text(), path.stem, benchmark.table(read(path)))
    except ValueError as fault:
        raise ValueError(f"{page}: {fault}") from None


def png(figure) -> bytes:
    """Return a picture of a figure, in its own resolution."""
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
