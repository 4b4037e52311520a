"""CPython's help texts (`pydoc_data.topics`): half a megabyte of English and code."""

import random
from pathlib import Path
from typing import Literal

from tasks.data.formats import Text
from tasks.data.text import characters, words


def topics(
    root: Path | None,
    *,
    alphabet: Literal["ascii", "letters"] = "ascii",
    context: int = 32,
    train: int = 400_000,
    test: int = 12_801,
) -> Text:
    """Return the characters of the texts.

    alphabet: "ascii" has 97 symbols; "letters" folds case and punctuation into 32.
    """
    return characters("topics", _corpus(), alphabet, context, train, test)


def topic_words(
    root: Path | None,
    *,
    vocabulary: int = 1_000,
    context: int = 16,
    train: int = 80_000,
    test: int = 4_001,
) -> Text:
    """Return the words of the texts. Words outside the `vocabulary` share one symbol."""
    return words("topic_words", _corpus(), vocabulary, context, train, test)


def _corpus() -> str:
    """Return all help texts in a fixed random order, so that train and test are alike."""
    from pydoc_data.topics import topics as texts

    titles = sorted(texts)
    random.Random(0).shuffle(titles)
    return "\n".join(texts[title] for title in titles)
