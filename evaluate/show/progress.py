"""Progress of an evaluation on stderr."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from evaluate.sandbox.limits import Limit
from evaluate.score.estimate import Forecast, duration
from evaluate.score.results import Result
from evaluate.score.schedule import Slot


@contextlib.contextmanager
def progress(total: int, finished: int, forecast: Forecast) -> Iterator[tuple[Callable, Callable]]:
    """Print the forecast and show a bar. Yield functions to call before and after each run."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    begun = time.monotonic()
    # Refresh rarely: the display must not compete with the run for a core.
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=2) as bars:
        bar = bars.add_task("evaluate", total=total, completed=finished, left="")

        def say(line: str) -> None:
            bars.console.print(line, markup=False, highlight=False)

        def announce(slot: Slot, limit: Limit) -> None:
            bars.update(bar, description=_title(slot, limit))

        def done(result: Result) -> None:
            say(
                f"{result.pair}: {result.submission}, repeat {result.repeat}: {result.outcome}, "
                f"{result.seconds:.2f} s, {result.steps} steps"
            )
            forecast.done(result)
            left = forecast.seconds_left(time.monotonic() - begun)
            bars.update(bar, advance=1, left=f"about {duration(left)} left" if left else "")

        if finished < total:
            say(forecast.text())
        yield announce, done


def _title(slot: Slot, limit: Limit) -> str:
    most = f"{limit.seconds:.0f} s" if limit.steps is None else f"{limit.steps} steps"
    return f"{slot.pair.name} · {slot.submission.name} · repeat {slot.repeat} (limit {most})"
