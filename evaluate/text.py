"""Sanitise untrusted text before printing, storing or showing it."""

import re

#: Characters to keep of a message.
LONGEST = 500
_MARK = "\N{REPLACEMENT CHARACTER}"


def clean(text: str, most: int = LONGEST) -> str:
    """Return the text as one line of at most `most` printable characters.

    Control characters, changes of direction and lone surrogates become U+FFFD.
    """
    line = " ".join(text[: 4 * most].split())[:most]
    return "".join(one if one.isprintable() else _MARK for one in line)


def clean_name(text: str) -> str:
    """Return the text as a name without special meaning in Markdown, HTML or math text.

    Characters other than letters, digits and a few signs become `_`.
    """
    return re.sub(r"[^\w.+/() -]", "_", clean(text))
