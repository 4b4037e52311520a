"""Turn a corpus into token streams: characters of a fixed alphabet, or the commonest words."""

import re
import string
from collections import Counter
from collections.abc import Sequence

import torch

from tasks.data.formats import DataError, Text

# Alphabets are fixed, so that a model's shape does not depend on the texts of a Python version. The
# last symbol stands for all other characters.
ALPHABETS = {
    "ascii": "\n" + "".join(map(chr, range(32, 127))) + "\0",
    "letters": string.ascii_lowercase + " \n.,'\0",
}
_WORD = re.compile(r"\w+|[^\w\s]|\n")


def characters(name: str, corpus: str, alphabet: str, context: int, train: int, test: int) -> Text:
    """Encode characters: the first `test` for testing, the next (at most) `train` for training.

    Raises DataError that names the data set if the corpus or the test part is too small.
    """
    symbols = ALPHABETS[alphabet]
    if alphabet == "letters":
        corpus = corpus.lower()
    code = {symbol: index for index, symbol in enumerate(symbols)}
    return encode(name, corpus, code, len(symbols), len(symbols) - 1, context, train, test)


def words(name: str, corpus: str, vocabulary: int, context: int, train: int, test: int) -> Text:
    """Encode words, punctuation marks and line ends. Test and training part as in `characters`.

    vocabulary: number of symbols: the commonest of the training part, and one for all others.
    """
    tokens = _WORD.findall(corpus)
    common = Counter(tokens[test : test + train]).most_common(vocabulary - 1)
    code = {token: index for index, (token, _) in enumerate(common)}
    return encode(name, tokens, code, vocabulary, vocabulary - 1, context, train, test)


def encode(
    name: str,
    tokens: Sequence[str],
    code: dict[str, int],
    classes: int,
    other: int,
    context: int,
    train: int,
    test: int,
) -> Text:
    """Encode tokens as streams. Tokens without a code get the code `other`."""
    if test <= context:
        raise DataError(f"{name} needs more test tokens than context: {test} <= {context}")
    if test + context + 1 >= len(tokens):
        raise DataError(f"{name} has {len(tokens)} tokens: choose fewer than {test} for test")
    stream = torch.tensor([code.get(token, other) for token in tokens[: test + train]])
    symbols = {index: token for token, index in code.items()} | {other: "?"}
    return Text(
        stream[test:],
        stream[:test],
        classes,
        context,
        tuple(symbols.get(i, "?") for i in range(classes)),
    )
