"""Tables in Markdown, and the blocks of a page that hold them.

A block lies between two lines of the page, `<!-- NAME: begin -->` and `<!-- NAME: end -->`.
"""

import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 118  # columns of prose


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers_right: bool = False) -> str:
    """Return a table of texts, with all columns except the first aligned right if asked."""
    rest = len(header) - 1
    ruler = [":---"] + ["---:"] * rest if numbers_right else ["---"] * (rest + 1)
    lines = [_escaped(header), ruler, *map(_escaped, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def prose(text: str) -> str:
    """Return the text in lines of a page's width."""
    return textwrap.fill(text, WIDTH)


def _escaped(cells):
    return [cell.replace("|", "\\|") for cell in cells]


def insert(page: str, name: str, content: str) -> str:
    """Return the page with the content in its block of this name.

    Raises ValueError unless there is one such block.
    """
    begin, end = (f"<!-- {name}: {side} -->" for side in ("begin", "end"))
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    if page.count(begin) != 1 or page.count(end) != 1 or end not in rest:
        raise ValueError(f"put the lines '{begin}' and '{end}' once where the table belongs")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"
