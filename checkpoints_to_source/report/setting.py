"""Sets the report by typst, offline and with typst's own fonts."""

import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from checkpoints_to_source.extra import extra_package
from checkpoints_to_source.report.results import ReportError

HERE = Path(__file__).parent
PAGES = 4
MISSING = "\x00"  # in the text of a page, a character that the font lacks
#: Of the body, in points. The largest that gives four pages is taken: tables grow with the results.
SIZES = (11.0, 10.75, 10.5, 10.25, 10.0, 9.75, 9.5, 9.25, 9.0, 8.75, 8.5, 8.25, 8.0)


def set_report(facts: dict, figures: Mapping[str, bytes]) -> bytes:
    """Return the report as a PDF of four pages. Equal arguments give equal bytes.

    Args:
        facts: what `gather` returns.
        figures: name -> SVG, for the names that the template uses.

    Raises ReportError if no type size gives four pages or the font lacks a character, ExtraError
    if typst or pypdf is not installed.
    """
    typst, pypdf = extra_package("typst"), extra_package("pypdf")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in (*HERE.glob("*.typ"), *HERE.glob("*.bib")):
            shutil.copy(file, folder)
        (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
        for figure, content in figures.items():
            (folder / f"{figure}.svg").write_bytes(content)
        pages, content = _fitted(typst, pypdf, folder)
    if any(MISSING in page.extract_text() for page in pages):
        raise ReportError(
            "report: its font lacks some characters; write --team and --member in Latin, Greek or "
            "Cyrillic letters"
        )
    return content


def _fitted(typst, pypdf, folder):
    for size in SIZES:
        try:
            content = typst.compile(
                str(folder / "report.typ"),
                root=str(folder),
                ignore_system_fonts=True,
                sys_inputs={"size": str(size)},
                timestamp=0,
            )
        except typst.TypstError as problem:
            reason = str(problem).splitlines()[0]
            raise ReportError(f"report: typst cannot set it ({reason}); fix the text") from None
        pages = pypdf.PdfReader(io.BytesIO(content)).pages
        if len(pages) == PAGES:
            return pages, content
        if len(pages) < PAGES:
            raise ReportError(f"report: too short, {len(pages)} pages; add results or text")
    raise ReportError(
        f"report: {len(pages)} pages even at {size} pt; name fewer --results or shorten the text"
    )
