"""Where downloaded data lie."""

from pathlib import Path

DEFAULT_ROOT = Path("data")
