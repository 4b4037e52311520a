"""When to test: time spent testing, and the delay of detection, against an all-knowing tester.

Records a policy on the pairs of some suites, with the test loss of the averaged weights every few
steps, then replays these curves under several rules, with many targets and test costs. A replay
repeats exactly and takes no time, so rules are compared on equal terms:

    python -m benchmarks.test_schedule checkpoints/policy.safetensors

The all-knowing tester trains to the step at which the test loss of the averaged weights first falls
below the target, and tests once. docs/testing.md shows the result.
"""

import hashlib
import json
import math
import time
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Literal, NamedTuple

import numpy as np
import torch
import tyro

from benchmarks.batches import endless
from benchmarks.page import stamp
from benchmarks.race_costs import averaged_loss
from benchmarks.testing_tables import rules
from checkpoints_to_source.train_file import train_file
from evaluate import provenance
from policy.checkpoint import digest, load_policy
from policy.driver.batch_norm import may_normalise
from policy.driver.learner import Learner
from policy.driver.schedule import Schedule
from policy.driver.tester import REFRESH
from tasks import build_task, suite
from writing.files import write_atomically, write_json

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

    def __init__(self, target, start):
        self.steps, self.last, self.cost = 0, 0.0, None

    def observe(self, loss, steps):
        self.steps += steps

    def is_due(self, now):
        if self.cost is None:
            return self.steps >= 10
        return now - self.last >= 2 * math.sqrt(self.cost * now)

    def record(self, test_loss, begin, end):
        self.last, self.cost = end, end - begin


class Regular:
    """A test every so many steps."""

    def __init__(self, interval):
        self.steps, self.interval = 0, interval

    def observe(self, loss, steps):
        self.steps += steps

    def is_due(self, now):
        return self.steps % self.interval == 0

    def record(self, test_loss, begin, end):
        pass


RULES = {
    "every 20 steps": lambda target, start: Regular(20),
    "every 100 steps": lambda target, start: Regular(100),
    "2 sqrt(cost * elapsed)": SquareRoot,
    "forecast (policy.schedule)": Schedule,
}


def main(
    policy: tyro.conf.Positional[Path],
    out: Path = Path("runs/test_schedule.json"),
    records: Path = Path("runs/test_schedule"),
    suites: tuple[Literal["smoke", "demo"], ...] = tuple(RECORDED),
) -> None:
    """Record the suites' pairs where there is no record yet of this policy, this code and this
    machine, and compare the rules.

    Args:
        policy: policy file.
        out: results, as JSON.
        records: folder of the records.
        suites: suites to record.
    """
    torch.set_num_threads(1)
    learned = load_policy(policy)
    replays, pairs = [], []
    for name in suites:
        for pair, variant in suite(name).items():
            path = records / f"{pair}.{key(variant, learned)}.json"
            if not path.exists():
                content = json.dumps(record(variant, learned, *RECORDED[name]))
                write_atomically(path, content.encode())
            replays += replays_of(pair, json.loads(path.read_text()))
            pairs.append(pair)
    rows = [summary(rule, [play(make, case) for case in replays]) for rule, make in RULES.items()]
    result = {**stamp("cpu", SEED), "policy sha256": digest(learned)}
    result.update(pairs=pairs, replays=len(replays), rows=rows)
    write_json(out, result)
    print(rules(result))


def key(variant, learned):
    """Of all that a record depends on."""
    machine = provenance.hardware("cpu", 1), provenance.versions()
    told = [train_file(learned).source, variant.digest, *machine]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]


def record(variant, learned, steps, every):
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


def replays_of(pair, data):
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


def play(make, case):
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


def summary(rule, outcomes):
    """Means over all replays, and the worst ratio of times."""
    return {
        "rule": rule,
        "ratio": fmean(o.ratio for o in outcomes),
        "worst": max(o.ratio for o in outcomes),
        "share": fmean(o.share for o in outcomes),
        "delay": fmean(o.delay for o in outcomes),
    }


if __name__ == "__main__":
    tyro.cli(main)
