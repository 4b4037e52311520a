"""Result files: whole ones in JSON, and those that grow by a line a row."""

import json
from collections.abc import Iterable
from pathlib import Path

from writing.files import json_text

FOLDER = Path("docs/results")


def read(path: Path) -> dict:
    """Return the content of a result file; of a file of lines, its rows."""
    text = path.read_text()
    if path.suffix != ".jsonl":
        return json.loads(text)
    if text and not text.endswith("\n"):
        raise ValueError(f"{path}: the last line is not whole; delete it")
    return {"rows": [json.loads(line) for line in text.splitlines()]}


def append(path: Path, row: object) -> None:
    """Add a row to a file of lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write(json_text(row))


def grouped(rows: Iterable[dict], *keys: str) -> dict:
    """Return the rows of each value of a key, or tuple of values, in order of appearance."""
    groups: dict = {}
    for row in rows:
        value = tuple(row[key] for key in keys) if len(keys) > 1 else row[keys[0]]
        groups.setdefault(value, []).append(row)
    return groups
