"""CPython's built-in help texts (`pydoc_data.topics`): half a megabyte of English and code."""

from __future__ import annotations

import random
import string
from pathlib import Path
from typing import Literal

import torch

from tasks.data.formats import DataError, Text

# Fixed alphabets, so that a model's shape does not depend on the Python version's texts. The last
# symbol stands for every other character.
ALPHABETS = {
    "ascii": "\n" + "".join(map(chr, range(32, 127))) + "\0",
    "letters": string.ascii_lowercase + " \n.,'\0",
}


def topics(
    root: Path | None,
    *,
    alphabet: Literal["ascii", "letters"] = "ascii",
    context: int = 32,
    train: int = 400_000,
    test: int = 12_801,
) -> Text:
    """The first `test` characters are held out, the next `train` (or as many as there are) train.

    alphabet: "ascii" has 97 symbols, "letters" folds case and punctuation into 32.
    """
    if test <= context:
        raise DataError(f"topics needs more test characters than context: {test} <= {context}")
    text = _corpus()
    if test + context + 1 >= len(text):
        raise DataError(f"topics has {len(text)} characters: choose fewer than {test} for test")
    symbols = ALPHABETS[alphabet]
    if alphabet == "letters":
        text = text.lower()
    code = {symbol: index for index, symbol in enumerate(symbols)}
    other = len(symbols) - 1
    stream = torch.tensor([code.get(symbol, other) for symbol in text[: test + train]])
    return Text(stream[test:], stream[:test], len(symbols), context)


def _corpus() -> str:
    """All help texts, in a fixed shuffled order: sorted by title, train and test would differ."""
    from pydoc_data.topics import topics as texts

    titles = sorted(texts)
    random.Random(0).shuffle(titles)
    return "\n".join(texts[title] for title in titles)
