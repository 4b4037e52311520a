"""Groups of rows, geometric means, and 95 % bootstrap intervals."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np


def grouped(rows: Iterable[dict], *keys: str) -> dict:
    """Return the rows by the value of a key, or tuple of values, in order of appearance."""
    groups: dict = {}
    for row in rows:
        value = tuple(row[key] for key in keys) if len(keys) > 1 else row[keys[0]]
        groups.setdefault(value, []).append(row)
    return groups


def interval(
    samples: Sequence[np.ndarray], statistic: Callable, paired: bool = False
) -> list[float]:
    """Return the ends of the percentile interval of a statistic of samples `[n]`.

    `statistic(*samples, axis)` reduces that axis. With `paired`, all samples are of the same cases.
    """
    from scipy import stats  # takes half a second, which an export without a report does not need

    # One observation can't be resampled; scipy needs two.
    samples = [np.repeat(sample, 2) if len(sample) == 1 else sample for sample in samples]
    found = stats.bootstrap(
        samples,
        statistic,
        paired=paired,
        axis=-1,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return [float(end) for end in found.confidence_interval]


def geometric_mean(logs: np.ndarray, networks: Sequence | None = None) -> tuple[float, list[float]]:
    """Return `exp` of the mean of `logs` `[n]`, and its interval.

    Logs with the same entry of `networks` `[n]` are not independent, so they are resampled
    together.
    """
    _, which = np.unique(range(len(logs)) if networks is None else networks, return_inverse=True)
    sums, counts = np.bincount(which, logs), np.bincount(which)

    def mean(sums, counts, axis):
        return np.exp(sums.sum(axis) / counts.sum(axis))

    return float(np.exp(logs.mean())), interval([sums, counts], mean, paired=True)


def mean_cell(logs: Sequence[float], networks: Sequence | None = None) -> str:
    """Return `geometric_mean` and its interval as one cell of a table."""
    return with_interval(*geometric_mean(np.array(logs), networks))


def with_interval(value: float, bounds: Sequence[float]) -> str:
    """Return a value and its interval as one cell of a table."""
    low, high = bounds
    return f"{value:.2f} ({low:.2f} to {high:.2f})"
