"""WikiText-2 (Merity et al., arXiv:1609.07843) at word level, if downloaded."""

import urllib.request
from collections import Counter
from http.client import HTTPException
from pathlib import Path

from tasks.data.formats import DataError, Text
from tasks.data.places import DEFAULT_ROOT
from tasks.data.text import encode
from writing.files import write_atomically

# The tokenised text of PyTorch's word-level language model example.
_SOURCE = (
    "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2/"
)
_PARTS = {"train.txt": 2_088_628, "test.txt": 245_569}  # words, including line ends
_WAIT = 60  # timeout of a download, in seconds without data


def wikitext2(
    root: Path | None, *, context: int = 30, train: int = 2_088_628, test: int = 245_569
) -> Text:
    """Return the first `train` and `test` words of each part, with <eos> after each line.

    The vocabulary is that of the training words, 33,278 if all are used.
    """
    folder = find_wikitext2(root)
    train_words, test_words = (_words(folder / part) for part in _PARTS)
    train_words, test_words = train_words[:train], test_words[:test]
    # Sorted by frequency, so that words get the same codes on every machine.
    code = {word: index for index, (word, _) in enumerate(Counter(train_words).most_common())}
    # The text marks rare words as <unk>. With fewer training words, more become unknown.
    unknown = code.setdefault("<unk>", len(code))
    both = test_words + train_words
    return encode("wikitext2", both, code, len(code), unknown, context, train, len(test_words))


def find_wikitext2(root: Path | None) -> Path:
    """Return the folder of the text. Raises DataError if a part is absent."""
    folder = (root or DEFAULT_ROOT) / "wikitext-2"
    for part in _PARTS:
        if not (folder / part).is_file():
            raise _unreadable(folder / part)
    return folder


def download_wikitext2(root: Path = DEFAULT_ROOT) -> Path:
    """Download missing or incomplete parts to `root`, and return the folder.

    Files are written atomically. Raises DataError, also if the server answers with something else.
    """
    folder = root / "wikitext-2"
    for part, count in _PARTS.items():
        path = folder / part
        if path.exists() and _is_whole(path.read_bytes(), count):
            continue
        try:
            with urllib.request.urlopen(_SOURCE + part, timeout=_WAIT) as answer:
                content = answer.read()
            if not _is_whole(content, count):
                raise DataError(f"{_SOURCE}{part} is not that file of WikiText-2: see what answers")
            write_atomically(path, content)
        except (OSError, HTTPException) as error:
            raise DataError(f"WikiText-2 did not download to {folder}: {error}") from error
    return folder


def _is_whole(content: bytes, count: int) -> bool:
    """Return whether `content` has `count` words. A proxy may have answered with a web page."""
    return len(_split(content.decode(errors="replace"))) == count


def _words(path: Path) -> list[str]:
    try:
        return _split(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path) from error


def _split(text: str) -> list[str]:
    # Not `splitlines`, which also splits at characters within the text.
    lines = text.removesuffix("\n").split("\n")
    return [word for line in lines for word in (*line.split(), "<eos>")]


def _unreadable(path: Path) -> DataError:
    return DataError(
        f"WikiText-2's {path.name} is not readable in {path.parent}: "
        "run `python -m tasks download wikitext2`"
    )
