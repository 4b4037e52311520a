"""Text that others wrote, made fit to be printed, stored and shown."""

import re

#: Characters of a message that are kept.
LONGEST = 500
_MARK = "\N{REPLACEMENT CHARACTER}"


def clean(text: str, most: int = LONGEST) -> str:
    """Return the text in one line of at most so many characters, each of which can be seen.

    What steers a terminal, turns the direction of writing or is half a character becomes a mark.
    """
    line = " ".join(text[: 4 * most].split())[:most]
    return "".join(one if one.isprintable() else _MARK for one in line)


def clean_name(text: str) -> str:
    """Return the text as a name that means nothing to Markdown, HTML or a formula: letters, digits
    and a few signs, the others replaced by `_`."""
    return re.sub(r"[^\w.+/() -]", "_", clean(text))
