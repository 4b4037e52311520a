"""Where results are shown: tables in blocks of pages, and pictures beside the result files."""

import io
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from matplotlib.figure import Figure

from benchmarks.results import FOLDER, read
from writing.files import write_atomically, write_text
from writing.markdown import insert


class Place(NamedTuple):
    """A result file, and the block of the page that shows it; no page where none does."""

    result: Path
    page: Path | None
    block: str


def places(benchmark: ModuleType) -> list[Place]:
    """Return where a benchmark is shown, the place of its usual result first."""
    usual = getattr(benchmark, "RESULT", FOLDER / f"{benchmark.NAME}.json")
    page = Path(benchmark.PAGE) if benchmark.PAGE else None
    also = getattr(benchmark, "ALSO", {})
    more = [Place(FOLDER / f"{name}.json", Path(also[name]), name) for name in also]
    return [Place(usual, page, benchmark.NAME), *more]


def show(benchmark: ModuleType) -> None:
    """Write a benchmark's tables into their pages, and draw its picture."""
    for place in places(benchmark):
        if hasattr(benchmark, "figure"):
            picture = png(benchmark.figure(content(benchmark, place.result)))
            write_atomically(FOLDER / f"{benchmark.NAME}.png", picture)
        if hasattr(benchmark, "table") and place.page:
            write_text(place.page, shown(benchmark, place))


def content(benchmark: ModuleType, path: Path) -> dict:
    """Return what a benchmark's table is made of."""
    return getattr(benchmark, "read_result", read)(path)


def shown(benchmark: ModuleType, place: Place) -> str:
    """Return the text of a page with the table of a result file in its block."""
    table = benchmark.table(content(benchmark, place.result))
    try:
        return insert(place.page.read_text(encoding="utf-8"), place.block, table)
    except ValueError as fault:
        raise ValueError(f"{place.page}: {fault}") from None


def png(figure: Figure) -> bytes:
    """Return a picture of a figure, in its own resolution."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
