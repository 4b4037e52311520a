"""Python's standard library as text: its source, and the English of its docstrings.

The texts differ between versions and distributions of Python, since their modules do.
"""

import ast
import random
import sysconfig
from functools import lru_cache
from pathlib import Path
from typing import Literal

from tasks.data.formats import DataError, Text
from tasks.data.text import characters, words

_APART = {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages", "ensurepip"}
#: The package of `topics` and `topic_words`, which are trained on. It is left out after the
#: shuffle, so that the order of the others does not change.
_TRAINED_ON = "pydoc_data"


def source(
    root: Path | None,
    *,
    alphabet: Literal["ascii", "letters"] = "ascii",
    context: int = 64,
    train: int = 1_000_000,
    test: int = 25_601,
) -> Text:
    """Return the characters of the source files."""
    return characters("source", _source(without=_TRAINED_ON), alphabet, context, train, test)


def source_words(
    root: Path | None,
    *,
    vocabulary: int = 33_278,
    context: int = 30,
    train: int = 2_088_628,
    test: int = 120_000,
) -> Text:
    """Return the words of the source files. Length and vocabulary default to WikiText-2's."""
    return words("source_words", _source(), vocabulary, context, train, test)


def docstrings(
    root: Path | None,
    *,
    vocabulary: int = 2_000,
    context: int = 24,
    train: int = 200_000,
    test: int = 12_001,
) -> Text:
    """Return the words of the docstrings."""
    return words("docstrings", _docstrings(), vocabulary, context, train, test)


@lru_cache(maxsize=2)
def _source(without: str | None = None) -> str:
    return "\n".join(_files(without))


@lru_cache(maxsize=1)
def _docstrings() -> str:
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = (node for text in _files() for node in ast.walk(ast.parse(text)))
    return "\n".join(ast.get_docstring(node) or "" for node in nodes if isinstance(node, kinds))


def _files(without: str | None = None) -> list[str]:
    """Return the library's modules, without tests and vendored tools, in a shuffled order.

    The order depends on which modules exist. `without`: name of a folder to leave out.
    """
    folder = Path(sysconfig.get_path("stdlib"))
    paths = sorted(
        p for p in folder.rglob("*.py") if not _APART & set(p.parts[len(folder.parts) :])
    )
    if not paths:
        raise DataError(f"no Python source in {folder}: install the standard library's .py files")
    random.Random(0).shuffle(paths)
    kept = [path for path in paths if without not in path.parts]
    return [path.read_text("utf-8", errors="replace") for path in kept]
