"""Check README.md and report.pdf for what the challenge requires."""

import io
import re

from checkpoints_to_source.extra import extra_package
from checkpoints_to_source.validation.fault import Fault

PAGES = 4
SECTIONS = ("Introduction", "Related work", "Method", "Results")
#: Number of a section, such as 1, 2.1, IV., 3) or B.
NUMBER = r"(?:[§\dIVX.\s]{0,20}|\s*(?:§?\s*[\dIVX.]{1,20}|(?-i:[A-Z]))[.):]\s*)"


def readme_faults(content: bytes) -> list[Fault]:
    """Return the faults of README.md (bytes), which must be text with a team name and members."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        return [Fault("README.md", f"is not UTF-8 ({problem.reason})", "save it as UTF-8")]
    faults = []
    if not _has_value(text, r"team(?:[ -]name)?(?!\w| *members)"):
        faults.append(Fault("README.md", "does not name the team", "add a line 'Team: NAME'"))
    if not _has_value(text, r"(?:team[ -])?members?(?!\w)"):
        faults.append(Fault("README.md", "names no members", "add a line 'Members: NAME, NAME'"))
    return faults


def _has_value(text, label):
    """Return whether a line starts with the label, and a value follows on that line or below.

    Punctuation before the label is ignored. The value may look like another label only after a
    colon: "Team: Team name".
    """
    pattern = rf"^(?:[^\w\n]|_)*{label}(?=([\W_]*)(.*)$)"
    following = re.findall(pattern, text, re.IGNORECASE | re.MULTILINE)
    another = re.compile(r"(?:team|members?)\b", re.IGNORECASE)
    return any(
        rest and (":" in marks and "\n" not in marks or not another.match(rest))
        for marks, rest in following
    )


def report_faults(content: bytes) -> list[Fault]:
    """Return the faults of report.pdf (bytes), which must have four pages and the four sections."""
    pypdf = extra_package("pypdf")
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted:
            return [Fault("report.pdf", "is encrypted", "save it without a password")]
        count = len(reader.pages)
        pages = [page.extract_text() for page in reader.pages[:PAGES]]
    except Exception as problem:  # a broken PDF can raise anything
        reason = str(problem) or type(problem).__name__
        return [Fault("report.pdf", f"is no sound PDF ({reason})", "make it again")]
    faults = []
    if count != PAGES:
        faults.append(Fault("report.pdf", f"has {count} pages", f"make it exactly {PAGES}"))
    for section in missing_sections("\n".join(pages)):
        what = f"has no section {section}"
        faults.append(Fault("report.pdf", what, "add it, as text and no picture"))
    return faults


def missing_sections(text: str) -> list[str]:
    """Return the SECTIONS that start no line of a report's text, even after a number."""
    lines = "\n".join(filter(None, map(str.strip, text.splitlines())))
    missing = []
    for section in SECTIONS:
        # Small capitals are extracted from a PDF as "I NTRODUCTION".
        letters = r"\s*".join(section.replace(" ", "-")).replace("-", "-?")
        if not re.search(rf"^{NUMBER}{letters}s?\b", lines, re.IGNORECASE | re.MULTILINE):
            missing.append(section)
    return missing
