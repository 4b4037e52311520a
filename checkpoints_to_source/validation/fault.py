"""What is wrong with a submission."""

from typing import NamedTuple


class Fault(NamedTuple):
    """where: the file, and the line where there is one. mend: what to do."""

    where: str
    what: str
    mend: str

    def __str__(self):
        text = f"{self.where}: {self.what}; {self.mend}"
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())
