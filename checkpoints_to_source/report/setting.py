"""Sets the report by typst, offline and with typst's own fonts."""

import io
import json
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from checkpoints_to_source.extra import extra_package
from checkpoints_to_source.report.results import ReportError

PAGES = 4
MISSING = "\x00"  # what the text has where the page has a box, for want of a character
# Body sizes in points, the largest that fills four pages is taken: tables grow with the results.
SIZES = (11.0, 10.75, 10.5, 10.25, 10.0, 9.75, 9.5, 9.25, 9.0, 8.75, 8.5, 8.25, 8.0)


def set_report(facts: dict, figures: Mapping[str, bytes]) -> bytes:
    """The report as PDF, exactly four pages; equal arguments give equal bytes.

    Args:
        facts: of `checkpoints_to_source.report.facts.gather`.
        figures: name -> SVG (bytes), for the names that the template uses.

    Raises ReportError where no type size gives four pages or the font lacks a character, ExtraError
    where typst or pypdf is not installed.
    """
    typst, pypdf = extra_package("typst"), extra_package("pypdf")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in resources.files("checkpoints_to_source.report").iterdir():
            if file.name.endswith((".typ", ".bib")):
                (folder / file.name).write_bytes(file.read_bytes())
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
            content = _compiled(typst, folder, size)
        except typst.TypstError as problem:
            reason = str(problem).splitlines()[0]
            raise ReportError(f"report: typst cannot set it ({reason}); mend the text") from None
        pages = pypdf.PdfReader(io.BytesIO(content)).pages
        count = len(pages)
        if count == PAGES:
            return pages, content
        if count < PAGES:
            raise ReportError(f"report: too short, {count} pages; add results or text")
    raise ReportError(
        f"report: {count} pages even at {SIZES[-1]} pt; name fewer --results or shorten the text"
    )


def _compiled(typst, folder, size):
    path = folder / "report.pdf"
    typst.compile(
        str(folder / "report.typ"),
        output=str(path),
        root=str(folder),
        ignore_system_fonts=True,
        sys_inputs={"size": str(size)},
        timestamp=0,
    )
    return path.read_bytes()
