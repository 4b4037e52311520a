"""Kinds of networks that are in no training family and no suite."""

import inspect
from collections.abc import Callable, Mapping

from benchmarks.networks import (
    densities,
    embeddings,
    functions,
    language,
    sequences,
    structures,
    vision,
)
from benchmarks.networks.kind import Kind, KindTask

#: Each public function of these modules makes one kind.
KINDS: Mapping[str, Callable[[], Kind]] = {
    name: make
    for module in (vision, sequences, language, embeddings, densities, functions, structures)
    for name, make in vars(module).items()
    if inspect.isfunction(make) and make.__module__ == module.__name__ and name[0] != "_"
}

__all__ = ["KINDS", "Kind", "KindTask"]
