"""Write files atomically: readers see the old file or the new one, even after a crash."""

import errno
import json
import math
import os
import secrets
from pathlib import Path


def write_atomically(path: Path | str, content: bytes) -> None:
    """Write a file under a temporary name, then rename it. Create missing folders.

    Raise OSError on failure, and remove the temporary file.
    """
    path = Path(path)
    if not path.name:  # "." or "/"
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        with partial.open("xb") as file:  # fails on an existing file or link
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, atomically."""
    write_atomically(path, text.encode())


def write_json(path: Path, value: object) -> None:
    """Write plain data as one line of strict JSON, atomically."""
    write_text(path, json_text(value))


def json_text(value: object) -> str:
    """Return plain data as a line of strict JSON, with null for numbers that are not finite."""
    return json.dumps(_finite(value), allow_nan=False) + "\n"


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
