"""Thin long records to what a plot can show."""

from typing import Any

#: Significant digits of a coordinate in a sketch.
DIGITS = 4


def thinned(rows: list, most: int) -> list:
    """Return at most `most` rows, evenly spaced, including the first and the last."""
    if len(rows) <= most:
        return rows
    return [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]


def rounded(value: Any) -> Any:
    """Return the value, or nested lists, with floats rounded to `DIGITS` significant digits."""
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
