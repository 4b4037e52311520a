"""Whole files or none: writes go to a neighbour first and are then renamed."""

import json
import math
import os
import tempfile
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write text so that a reader, or a crash, sees either the old file or the new one. Makes the
    folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would keep colleagues from reading results
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def write_json(path: Path, value) -> None:
    """Write plain data as one line of strict JSON."""
    write_text(path, json_text(value))


def json_text(value) -> str:
    """Plain data as strict JSON, which has no NaN: a number that is not finite is null."""
    return json.dumps(_finite(value), allow_nan=False) + "\n"


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
