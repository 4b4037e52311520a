"""Tables, shown in the terminal or written into a Markdown document."""

from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from evaluate.errors import InputError
from writing.files import write_text
from writing.markdown import insert, table


@dataclass(frozen=True)
class Content:
    """A table: title, caption, header, and rows as long as the header, the baseline first.

    `details`: tables of the same methods to show below, folded if possible.
    """

    title: str
    caption: str
    header: list[str]
    rows: list[list[str]]
    details: tuple["Content", ...] = ()


def three_digits(value: float) -> str:
    """Return a positive number with three significant digits, without an exponent."""
    return f"{value:.3g}" if value < 999.5 else f"{float(f'{value:.3g}'):,.0f}"


def rich_table(content: Content) -> Table:
    """Return the table for the terminal, without its details."""
    table = Table(title=escape(content.title), caption=escape(content.caption))
    for column, name in enumerate(content.header):
        is_name = column == 0
        # Allow line breaks after underscores in long names.
        shown = name if is_name else name.replace("_", "_\n")
        table.add_column(escape(shown), justify="left" if is_name else "right", no_wrap=is_name)
    for row in content.rows:
        table.add_row(*map(escape, row))
    return table


def markdown(content: Content) -> str:
    """Return the table in Markdown, followed by its caption and its folded details."""
    parts = [f"**{content.title}**", _grid(content), content.caption]
    for one in content.details:
        parts.append(f"<details>\n<summary>{one.title}</summary>\n\n{_grid(one)}\n\n</details>")
    return "\n\n".join(parts)


def _grid(content: Content) -> str:
    return table(content.header, content.rows, numbers_right=True)


def update_document(document: Path, name: str, text: str) -> None:
    """Replace the text between the document's markers of this name, atomically.

    Raise InputError if the markers are missing.
    """
    write_text(document, _with_block(document, name, text))


def is_stale(document: Path, name: str, text: str) -> bool:
    """Return whether the text between the document's markers of this name differs from `text`."""
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
