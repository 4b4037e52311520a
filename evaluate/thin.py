"""Long records, cut down to what a plot can show."""

from typing import Any

#: Significant digits of a coordinate in a sketch.
DIGITS = 4


def thinned(rows: list, most: int) -> list:
    """At most so many rows, evenly spread, with the first and the last."""
    if len(rows) <= most:
        return rows
    return [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]


def rounded(value: Any) -> Any:
    """Numbers, in lists or not, to so many significant digits; whole numbers as they are."""
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
