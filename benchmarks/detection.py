"""When to test, in real runs of a train.py: time in tests, and the delay of detection.

Runs it in this process. Every few steps its clock stops, and the live weights and their
polynomial-decay average are tested on a second task of the same kind, which the run does not see.
The target counts as crossed at the first step at which one of the two is below it. An all-knowing
tester trains up to that step, and tests once. What a run spends in `test` and in `batch_loss`,
by which it prepares tests, is its time in tests.
"""

import functools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from types import ModuleType

import torch

from benchmarks import settings
from benchmarks.origin import sentence
from evaluate.submission import find_submissions, load
from policy.driver.tester import REFRESH
from policy.rule.update import averaging
from tasks import Batch, Done, Variant, build_task, suite
from writing.markdown import table as table_of

NAME, PAGE, ALONE = "detection", "docs/testing.md", True
SUITE = "demo"
MEANS = ("share", "delay", "ratio")
SEED = 0
EVERY = 2  # steps between two looks
LIMIT = 60.0  # seconds of a run


class Clock:
    """The system's clock, less the time for which it was stopped. To replace time.perf_counter."""

    def __init__(self):
        self.system, self.stopped = time.perf_counter, 0.0

    def __call__(self) -> float:
        return self.system() - self.stopped

    @contextmanager
    def stop(self) -> Iterator[None]:
        begin = self.system()
        yield
        self.stopped += self.system() - begin


class Over(BaseException):
    """Ends a run past the limit; not an Exception, which a train.py may take for a failure."""


class Looker:
    """Tests weights as they stand at a step, on a task of its own and without a trace."""

    def __init__(self, variant: Variant):
        self.task = build_task(replace(variant, target=None))
        self.target = variant.target
        self.average = [p.clone() for p in self.task.state]
        self.seen = [p.clone() for p in self.task.state]
        self.updates = 0
        self.batches = []  # the last ones

    def follow(self, state: list[torch.Tensor], batch: Batch | None) -> None:
        """Take in the weights after a step, and the batch of the next. There may have been none: a
        gradient alone, to tell its noise."""
        self.batches = [*self.batches[-REFRESH + 1 :], batch]
        if all(map(torch.equal, self.seen, state)):
            return
        self.updates += 1
        for average, seen, live in zip(self.average, self.seen, state, strict=True):
            average.lerp_(live, averaging(self.updates))
            seen.copy_(live)

    def is_crossed(self, state: list[torch.Tensor]) -> bool:
        """Whether the live or the averaged weights are below the target."""
        with torch.random.fork_rng():
            return min(self._loss(state), self._loss(self.average)) < self.target

    def _loss(self, weights):
        for own, weight in zip(self.task.state, weights, strict=True):
            own.copy_(weight)
        for batch in self.batches:
            self.task.batch_loss(batch)
        return self.task.test(self.task.state)


class Watched:
    """A task whose steps and time in tests are counted, with a looker beside it."""

    def __init__(self, variant: Variant, clock: Clock):
        self.task, self.looker, self.clock = build_task(variant), Looker(variant), clock
        self.state, self.default_batch_size = self.task.state, self.task.default_batch_size
        self.target_test_loss = self.task.target_test_loss
        self.train_iterator = self.task.train_iterator
        self.steps = self.tests = 0
        self.testing = 0.0  # seconds
        self.crossing = self.trained = None  # its step, and seconds until then but for tests
        self.begin = clock()

    def seconds(self) -> float:
        """Of the run, so far."""
        return self.clock() - self.begin

    def batch_loss_and_gradient(self, batch: Batch) -> tuple:
        trained = self.seconds() - self.testing
        with self.clock.stop():
            self._look(batch, trained)
        if self.seconds() > LIMIT:
            raise Over
        self.steps += 1
        return self.task.batch_loss_and_gradient(batch)

    def batch_loss(self, batch: Batch) -> float:
        with self._timed():
            return self.task.batch_loss(batch)

    def test(self, state: list[torch.Tensor]) -> float:
        self.tests += 1
        with self._timed():
            return self.task.test(state)

    def _look(self, batch, trained):
        if not self.steps or self.crossing:
            return
        self.looker.follow(self.state, batch)
        if self.steps % EVERY == 0 and self.looker.is_crossed(self.state):
            self.crossing, self.trained = self.steps, trained

    @contextmanager
    def _timed(self):
        begin = self.clock()
        try:
            yield
        finally:
            self.testing += self.clock() - begin


@dataclass(frozen=True, kw_only=True)
class Settings(settings.Settings):
    """Run a train.py once on each pair of a suite."""

    train: Path = Path("train.py")
    """A train.py."""


def jobs(settings: Settings) -> list[tuple]:
    """Pairs of the suite, with the file."""
    return [(pair, variant, settings.train) for pair, variant in suite(SUITE).items()]


def measure(job: tuple) -> list[dict]:
    """One run, on the pair's clock."""
    pair, variant, train = job
    module, clock = loaded(train)
    torch.manual_seed(SEED)
    return [{"pair": pair, **outcome(module.train, Watched(variant, clock))}]


def about(settings: Settings, rows: list[dict]) -> dict:
    return {"suite": SUITE, "train sha256": find_submissions([settings.train])[0].sha256}


@functools.cache
def loaded(train: Path) -> tuple[ModuleType, Clock]:
    """The file as a module, and the clock that it takes for the system's."""
    clock = time.perf_counter = Clock()  # before the file is loaded, which may keep it
    return load(train), clock


def outcome(train: Callable, watched: Watched) -> dict:
    """What a run took, beside an all-knowing tester; `{}` where it did not reach the target."""
    try:
        train(watched)
        return {}  # it gave up
    except Done:
        pass
    except (Over, RuntimeError):  # the latter of our driver, where the loss stays NaN
        return {}
    seconds, steps, testing = watched.seconds(), watched.steps, watched.testing
    crossing, trained = watched.crossing, watched.trained
    if crossing is None:  # the last step is not looked at
        crossing, trained = steps, seconds - testing
    all_knowing = trained + testing / watched.tests
    return {
        "tests": watched.tests,
        "seconds": seconds,
        "testing": testing,
        "share": testing / seconds,
        "crossing": crossing,
        "steps": steps,
        "delay": steps / crossing - 1,
        "ratio": seconds / all_knowing,
    }


def table(result: dict) -> str:
    """One row a run that reached its target, and the mean."""
    header: tuple[str, ...] = (
        "pair",
        "tests",
        "time in tests",
        "crossed at step",
        "detected at",
        "delay",
    )
    header += ("time / all-knowing",)
    reached = [row for row in result["rows"] if "steps" in row]
    rows = [
        (
            row["pair"],
            str(row["tests"]),
            f"{row['share']:.1%}",
            f"{row['crossing']:,}",
            f"{row['steps']:,}",
            f"{row['delay']:.1%}",
            f"{row['ratio']:.3f}",
        )
        for row in reached
    ]
    share, delay, ratio = (fmean(row[name] for row in reached) for name in MEANS)
    rows.append(("mean", "", f"{share:.1%}", "", "", f"{delay:.1%}", f"{ratio:.3f}"))
    counts = f"{len(reached)} of {len(result['rows'])} runs reached the target."
    return f"{table_of(header, rows)}\n\n{counts} {sentence(result)}"
