"""Data sets by name.

To add one, write a loader `f(root, *, option=default) -> Images | Text` and add it to `_LOADERS`,
and to `HELD_OUT` if nothing may be trained on it. Its keyword options are then checked and
completed automatically.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, get_type_hints

from tasks.data.cifar10 import cifar10, find_cifar10
from tasks.data.digits import digits
from tasks.data.fashion import fashion, find_fashion
from tasks.data.formats import Images, Samples, Text, samples
from tasks.data.glyphs import glyphs
from tasks.data.photos import photos
from tasks.data.procedural import clusters, functions, teacher, waves
from tasks.data.stdlib import docstrings, source, source_words
from tasks.data.topics import topic_words, topics
from tasks.data.wikitext2 import find_wikitext2, wikitext2
from tasks.options import Options

_LOADERS = (
    *(digits, fashion, glyphs, photos, cifar10),
    *(clusters, functions, teacher, waves),
    *(topics, topic_words, source, source_words, docstrings, wikitext2),
)
DATA: dict[str, Callable[..., Images | Text]] = {loader.__name__: loader for loader in _LOADERS}

NEEDS_FILES: dict[str, Callable[[Path | None], Path]] = {
    "fashion": find_fashion,
    "cifar10": find_cifar10,
    "wikitext2": find_wikitext2,
}
"""Data sets whose files may be absent, each with a function that returns their folder or raises
DataError. Sampling leaves these data sets out by default."""

HELD_OUT = frozenset({"glyphs", "photos", "waves", "source", "docstrings"})
"""Data sets kept for the `validation` suite: nothing is ever trained on them."""


def kind_of(name: str) -> type:
    """Return the type of a data set, `Images` or `Text`, without loading it."""
    return get_type_hints(DATA[name])["return"]


def load(name: str, options: Options, root: Path | None) -> Any:
    """Read a data set from its source. Raises DataError if its files are absent."""
    return DATA[name](root, **dict(options))


@lru_cache(maxsize=16)
def load_samples(name: str, options: Options, root: Path | None) -> Samples:
    """Return the examples of a data set, cached because many tasks share them."""
    return samples(load(name, options, root))


def digest_of_text(name: str, options: Options, root: Path | None) -> str | None:
    """Return 16 hexadecimal digits that identify the tokens on this machine; None for images.

    Python's own texts differ between installations. Images are equal except for rounding.
    """
    if kind_of(name) is not Text:
        return None
    text, digest = load(name, options, root), hashlib.sha256()
    for part in (text.train, text.test):
        digest.update(f"{len(part)} ".encode() + part.numpy().tobytes())
    return digest.hexdigest()[:16]
