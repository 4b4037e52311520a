"""The log of a run: one JSON object a line, each of an outer step."""

import json
from pathlib import Path

from writing.files import write_atomically


def read_log(path: Path) -> list[dict]:
    """The entries of a run's log; a last line that was cut off is left out."""
    entries = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            entries.append(json.loads(line))
        except (ValueError, RecursionError):
            break
    return entries


def cut_log(path: Path, step: int) -> None:
    """Drop the entries after an outer step, from which a run goes on; makes the file."""
    kept = [entry for entry in read_log(path) if entry["step"] <= step]
    write_atomically(path, "".join(json.dumps(entry) + "\n" for entry in kept).encode())
