"""When to test: time spent testing, and the delay of detection, against an all-knowing tester.

Records a policy on the pairs of some suites, with the test loss of the averaged weights every few
steps, then replays these curves under several rules, with many targets and test costs. A replay
repeats exactly and takes no time, so rules are compared on equal terms.

The all-knowing tester trains to the step at which the test loss of the averaged weights first falls
below the target, and tests once. docs/testing.md shows the result.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import numpy as np
import torch

from benchmarks.origin import sentence
from benchmarks.race_costs import averaged_loss
from benchmarks.results import grouped
from benchmarks.settings import PolicySettings
from benchmarks.steps import endless
from checkpoints_to_source.train_file import train_file
from evaluate import provenance
from policy.checkpoint import Policy, load_policy
from policy.driver.batch_norm import may_normalise
from policy.driver.learner import Learner
from policy.driver.schedule import Schedule
from policy.driver.tester import REFRESH
from tasks import Variant, build_task, suite
from writing.files import write_json
from writing.markdown import table as table_of

NAME, PAGE, ALONE = "test_schedule", "docs/testing.md", True
Settings = PolicySettings
RECORDS = Path("runs/test_schedule")
SEED = 0
TARGET_STEPS = (0.1, 0.2, 0.35, 0.5, 0.7, 0.9)  # where targets lie, as shares of the recorded run
COST_FACTORS = (0.3, 1.0, 3.0)  # costs of a test, over the measured one
RECORDED = {"smoke": (200, 4), "demo": (500, 20)}  # suite -> steps recorded, steps between tests


class Replay(NamedTuple):
    """train: loss of each step. tested: test loss of the averaged weights after each step. cost: of
    a test, in steps."""

    name: str
    train: list[float]
    tested: list[float]
    target: float
    cost: float


class Outcome(NamedTuple):
    """ratio: of all time to the all-knowing tester's. share: of time in tests. delay: from crossing
    to detection over the crossing's time."""

    ratio: float
    share: float
    delay: float


class SquareRoot:
    """The rule before this one: after 10 steps, then at intervals of 2 sqrt(cost * elapsed)."""

    def __init__(self, target: float, start: float):
        self.steps, self.last = 0, 0.0
        self.cost: float | None = None

    def observe(self, loss: float, steps: int) -> None:
        self.steps += steps

    def is_due(self, now: float) -> bool:
        if self.cost is None:
            return self.steps >= 10
        return now - self.last >= 2 * math.sqrt(self.cost * now)

    def record(self, test_loss: float, begin: float, end: float) -> None:
        self.last, self.cost = end, end - begin


class Regular:
    """A test every so many steps."""

    def __init__(self, interval: int):
        self.steps, self.interval = 0, interval

    def observe(self, loss: float, steps: int) -> None:
        self.steps += steps

    def is_due(self, now: float) -> bool:
        return self.steps % self.interval == 0

    def record(self, test_loss: float, begin: float, end: float) -> None:
        pass


RULES = {
    "every 20 steps": lambda target, start: Regular(20),
    "every 100 steps": lambda target, start: Regular(100),
    "2 sqrt(cost * elapsed)": SquareRoot,
    "forecast (policy.schedule)": Schedule,
}


def jobs(settings: Settings) -> list[tuple]:
    """Pairs of the suites, with the policy: each is recorded once for a policy, a state of this
    code and a machine."""
    learned = load_policy(settings.policy)
    pairs = [(name, *pair) for name in RECORDED for pair in suite(name).items()]
    return [(*pair, learned) for pair in pairs]


def measure(job: tuple) -> list[dict]:
    """Outcomes of all rules on the replays of one pair."""
    name, pair, variant, learned = job
    path = RECORDS / f"{pair}.{key_of(variant, learned)}.json"
    if not path.exists():
        write_json(path, record(variant, learned, *RECORDED[name]))
    replays = list(replays_of(pair, json.loads(path.read_text())))
    return [
        {"pair": pair, "rule": rule, "outcomes": [play(make, case) for case in replays]}
        for rule, make in RULES.items()
    ]


def table(result: dict) -> str:
    """One row a rule."""
    rows = [
        (
            row["rule"],
            f"{row['ratio']:.3f}",
            f"{row['worst']:.2f}",
            f"{row['share']:.1%}",
            f"{row['delay']:.1%}",
        )
        for row in _summaries(result["rows"])
    ]
    header = ("rule", "time / all-knowing, mean", "worst", "time in tests", "delay")
    pairs, replays = _counts(result)
    return f"{table_of(header, rows)}\n\n{replays} replays of {pairs} pairs. {sentence(result)}"


def _summaries(rows):
    """Means over all replays; earlier results have these alone."""
    if "outcomes" not in rows[0]:
        return rows
    return [
        summary(rule, [Outcome(*one) for row in of for one in row["outcomes"]])
        for rule, of in grouped(rows, "rule").items()
    ]


def _counts(result):
    """Numbers of pairs and of replays."""
    if "replays" in result:
        return len(result["pairs"]), result["replays"]
    first = [row for row in result["rows"] if row["rule"] == result["rows"][0]["rule"]]
    return len(first), sum(len(row["outcomes"]) for row in first)


def key_of(variant: Variant, learned: Policy) -> str:
    """Of all that a record depends on."""
    machine = provenance.hardware("cpu", 1), provenance.versions()
    told = [train_file(learned).source, variant.digest, *machine]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]


def record(variant: Variant, learned: Policy, steps: int, every: int) -> dict:
    """Train without a target; losses of the steps and tests, seconds of a step and of a test."""
    torch.manual_seed(SEED)
    task = build_task(replace(variant, target=None))
    task.target_test_loss = variant.target
    learner, normalises = Learner(task, learned.spec, learned.weights), may_normalise(task.state)
    task.target_test_loss = -math.inf
    train, tested, test_seconds, recent = [], [], 0.0, []
    begin = time.perf_counter()
    for batch in endless(task):
        loss, gradients = task.batch_loss_and_gradient(batch)
        train.append(float(loss))
        learner.step(loss, gradients)
        recent = [*recent[1 - REFRESH :], batch] if normalises else []
        if learner.steps % every == 0:
            began_test = time.perf_counter()
            tested.append((learner.steps, averaged_loss(task, learner, recent)))
            test_seconds += time.perf_counter() - began_test
        if learner.steps == steps:
            break
    seconds = time.perf_counter() - begin - test_seconds
    return {
        "train": train,
        "tested": tested,
        "cost": test_seconds / len(tested) / (seconds / steps),
    }


def replays_of(pair: str, data: dict) -> Iterator[Replay]:
    """Every cost of a test, in steps, and every target of a record that its last test is below: so
    every rule finds it in the end."""
    numbers = range(1, len(data["train"]) + 1)
    steps, losses = zip(*data["tested"], strict=True)
    tested = np.interp(numbers, steps, losses).tolist()
    for share in TARGET_STEPS:
        target = min(tested[: int(share * len(tested))])
        if tested[-1] < target:
            for factor in COST_FACTORS:
                yield Replay(pair, data["train"], tested, target, factor * data["cost"])


def play(make: Callable, case: Replay) -> Outcome:
    """The outcome of a rule on a replay; the clock counts steps."""
    rule = make(case.target, 0.0)
    crossing = 1 + next(i for i, loss in enumerate(case.tested) if loss < case.target)
    now = testing = 0.0
    for step, (train, tested) in enumerate(zip(case.train, case.tested, strict=True), 1):
        now += 1
        rule.observe(train, 1)
        if rule.is_due(now) or step == len(case.train):
            now += case.cost
            testing += case.cost
            if tested < case.target:
                break
            rule.record(tested, now - case.cost, now)
    return Outcome(now / (crossing + case.cost), testing / now, (step - crossing) / crossing)


def summary(rule: str, outcomes: Sequence[Outcome]) -> dict:
    """Means over all replays, and the worst ratio of times."""
    return {
        "rule": rule,
        "ratio": fmean(o.ratio for o in outcomes),
        "worst": max(o.ratio for o in outcomes),
        "share": fmean(o.share for o in outcomes),
        "delay": fmean(o.delay for o in outcomes),
    }
