"""Long records, cut down to what a plot can show."""


def thinned(rows: list, most: int) -> list:
    """At most so many rows, evenly spread, with the first and the last."""
    if len(rows) <= most:
        return rows
    return [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]
