"""A fault of a submission."""

from typing import NamedTuple


class Fault(NamedTuple):
    """A fault. `where`: the file, and the line if known. `fix`: what to do."""

    where: str
    what: str
    fix: str

    def __str__(self):
        text = f"{self.where}: {self.what}; {self.fix}"
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())
