"""Networks of kinds that neither the training families nor the suites have."""

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

#: Every public function of these modules makes one.
KINDS: Mapping[str, Callable[[], Kind]] = {
    name: make
    for module in (vision, sequences, language, embeddings, densities, functions, structures)
    for name, make in vars(module).items()
    if inspect.isfunction(make) and make.__module__ == module.__name__ and name[0] != "_"
}

__all__ = ["KINDS", "Kind", "KindTask"]
