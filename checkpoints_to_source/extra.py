"""Packages of the extra `submission`, which only the ZIP and its validator need."""

import importlib
from types import ModuleType


class ExtraError(ImportError):
    """A package of the extra is not installed. The one-line message names the fix."""


def extra_package(name: str) -> ModuleType:
    """Return the package. Raise ExtraError if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ExtraError(f"{name} is not installed; run pip install -e '.[submission]'") from None
