"""Tables in Markdown, and the blocks of a page that hold them.

A block is between the lines `<!-- NAME: begin -->` and `<!-- NAME: end -->`.
"""

import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 118  # columns of prose


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers_right: bool = False) -> str:
    """Return a table. `numbers_right`: align all columns except the first to the right."""
    rest = len(header) - 1
    ruler = [":---"] + ["---:"] * rest if numbers_right else ["---"] * (rest + 1)
    lines = [_escaped(header), ruler, *map(_escaped, rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def prose(text: str) -> str:
    """Return the text wrapped to the width of a page."""
    return textwrap.fill(text, WIDTH)


def _escaped(cells):
    return [cell.replace("|", "\\|") for cell in cells]


def insert(page: str, name: str, content: str) -> str:
    """Return the page with the content of its block `name` replaced.

    Raise ValueError unless there is exactly one such block.
    """
    begin, end = (f"<!-- {name}: {side} -->" for side in ("begin", "end"))
    before, _, rest = page.partition(begin)
    _, _, after = rest.partition(end)
    if page.count(begin) != 1 or page.count(end) != 1 or end not in rest:
        raise ValueError(f"put the lines '{begin}' and '{end}' once where the table belongs")
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"
