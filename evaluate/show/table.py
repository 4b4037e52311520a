"""Tables as content, shown in the terminal or written as Markdown into a document."""

from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from evaluate.errors import InputError
from writing.files import write_text
from writing.markdown import insert, table


@dataclass(frozen=True)
class Content:
    """A table: title, caption, header, and rows of its length, the baseline's first.

    `details`: tables of the same methods that stand below, folded where that is possible.
    """

    title: str
    caption: str
    header: list[str]
    rows: list[list[str]]
    details: tuple["Content", ...] = ()


def three_digits(value: float) -> str:
    """A positive number for a table: three significant digits, and never in powers of ten."""
    return f"{value:.3g}" if value < 999.5 else f"{float(f'{value:.3g}'):,.0f}"


def rich_table(content: Content) -> Table:
    """The table for the terminal, without its details."""
    table = Table(title=escape(content.title), caption=escape(content.caption))
    for column, name in enumerate(content.header):
        is_name = column == 0
        # A long name may be broken after an underscore.
        shown = name if is_name else name.replace("_", "_\n")
        table.add_column(escape(shown), justify="left" if is_name else "right", no_wrap=is_name)
    for row in content.rows:
        table.add_row(*map(escape, row))
    return table


def markdown(content: Content) -> str:
    """The table in Markdown, with its caption below, then its details, folded."""
    parts = [f"**{content.title}**", _grid(content), content.caption]
    for one in content.details:
        parts.append(f"<details>\n<summary>{one.title}</summary>\n\n{_grid(one)}\n\n</details>")
    return "\n\n".join(parts)


def _grid(content: Content) -> str:
    return table(content.header, content.rows, numbers_right=True)


def update_document(document: Path, name: str, text: str) -> None:
    """Put text between the document's markers of this name, atomically.

    Raises InputError if the markers are missing.
    """
    write_text(document, _with_block(document, name, text))


def is_stale(document: Path, name: str, text: str) -> bool:
    """Whether the document holds anything else than text between its markers of this name."""
    return _with_block(document, name, text) != document.read_text(encoding="utf-8")


def _with_block(document: Path, name: str, text: str) -> str:
    try:
        return insert(document.read_text(encoding="utf-8"), name, text)
    except OSError as problem:
        raise InputError(f"{document}: {problem.strerror}; name a Markdown file") from None
    except UnicodeDecodeError:
        raise InputError(f"{document}: is no text in UTF-8; name a Markdown file") from None
    except ValueError as problem:
        raise InputError(f"{document}: {problem}") from None
