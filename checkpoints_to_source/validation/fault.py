"""What is wrong with a submission."""

from typing import NamedTuple


class Fault(NamedTuple):
    """where: the file, and the line if there is one. fix: what to do."""

    where: str
    what: str
    fix: str

    def __str__(self):
        text = f"{self.where}: {self.what}; {self.fix}"
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())
