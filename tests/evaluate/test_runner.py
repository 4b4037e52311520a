"""The schedule of runs, its limits, and how known results shorten it."""

import math
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from evaluate.errors import InputError
from evaluate.outcomes import Outcome
from evaluate.pairs import Pair
from evaluate.peers import find_peers
from evaluate.run import runner
from evaluate.run.runner import Runs, run_slot
from evaluate.run.submissions import find_submissions
from evaluate.sandbox.limits import Limit
from evaluate.score.results import latest
from evaluate.score.schedule import Setting, limit, limits, schedule, unfinished
from evaluate.submission import Submission
from tasks import Variant

VARIANT = Variant("mlp", "digits", target=0.5)
PAIRS = [Pair("demo", "one", VARIANT), Pair("demo", "two", Variant("mlp", "digits", seed=9))]
ADAM = Submission(Path("adam.py"), "adam", "b" * 64)
OURS = Submission(Path("train.py"), "train", "a" * 64)
THEIRS = Submission(Path("theirs.py"), "theirs", "c" * 64)


@pytest.fixture
def setting(tmp_path, make_result):
    def make(limit_seconds=None):
        return Setting(tmp_path, "cpu", 1, limit_seconds, [], make_result().hardware, {}, {})

    return make


@pytest.fixture
def known(make_result):
    """Return a function that makes known results on the first pair, from (role, fields)."""

    def make(*entries):
        identity = {"pair": "one", "variant_digest": VARIANT.digest}
        return latest(make_result(role=role, **identity, **fields) for role, fields in entries)

    return make


def test_baseline_and_submissions_alternate():
    slots = schedule(PAIRS, ADAM, [OURS, THEIRS], repeats=2)
    order = [(slot.repeat, slot.pair.name, slot.submission.name) for slot in slots]
    assert order == [
        (repeat, pair, name)
        for repeat in (0, 1)
        for pair in ("one", "two")
        for name in ("adam", "train", "theirs")
    ]
    assert [slot.role for slot in slots[:3]] == ["baseline", "submission", "submission"]
    later = schedule(PAIRS, ADAM, [OURS, THEIRS], repeats=2, first=3)
    assert later == [replace(slot, repeat=slot.repeat + 3) for slot in slots]


def test_repeats_differ_only_in_initial_weights():
    first, second = PAIRS[0].of_repeat(0), PAIRS[0].of_repeat(1)
    assert first == VARIANT
    assert second.to_dict() == VARIANT.to_dict() | {"seed": VARIANT.seed + 1}


def test_finished_runs_are_left_out(setting, known):
    slots = schedule(PAIRS[:1], ADAM, [OURS, THEIRS], repeats=1)
    done = known(("baseline", {}), ("submission", {}))
    assert [slot.submission for slot in unfinished(slots, setting(), done)] == [THEIRS]
    failed = known(("baseline", {}), ("submission", {"outcome": Outcome.ERROR}))
    assert [slot.submission for slot in unfinished(slots, setting(), failed)] == [OURS, THEIRS]


def test_baseline_entered_as_a_submission_runs_again(setting, known):
    slots = schedule(PAIRS[:1], ADAM, [ADAM], repeats=1)
    left = unfinished(slots, setting(), known(("baseline", {})))
    assert [slot.role for slot in left] == ["submission"]


def test_limits_follow_the_baseline(setting, known):
    base, ours = schedule(PAIRS[:1], ADAM, [OURS], repeats=1)
    assert limit(base, setting(), {}) == 3600
    assert limit(ours, setting(), {}) == math.inf
    assert limit(ours, setting(), known(("baseline", {"seconds": 2.0}))) == 60
    assert limit(ours, setting(), known(("baseline", {"seconds": 20.0}))) == 100
    assert limit(ours, setting(), known(("baseline", {"seconds": 3000.0}))) == 3600
    assert limit(base, setting(7.0), {}) == limit(ours, setting(7.0), {}) == 7


def test_later_baseline_runs_are_limited(setting, known):
    third = schedule(PAIRS[:1], ADAM, [], repeats=3)[2]
    slow, fast = {"seconds": 40.0, "repeat": 0}, {"seconds": 9.0, "repeat": 1}
    assert limit(third, setting(), known(("baseline", slow), ("baseline", fast))) == 200
    assert limit(third, setting(), known(("baseline", fast))) == 60
    missed = slow | {"outcome": Outcome.TIMEOUT}
    assert limit(third, setting(), known(("baseline", missed))) == 3600


def test_timeout_runs_again_when_the_limit_grows(setting, known):
    slots = schedule(PAIRS[:1], ADAM, [OURS], repeats=1)
    timed_out = {"outcome": Outcome.TIMEOUT, "limit_seconds": 60.0}
    done = known(("baseline", {"seconds": 2.0}), ("submission", timed_out))
    assert unfinished(slots, setting(), done) == []
    assert unfinished(slots, setting(61.0), done) == [slots[1]]


def test_limit_from_an_outdated_baseline_is_no_limit(setting, known):
    slots = schedule(PAIRS[:1], ADAM, [OURS], repeats=1)
    untimed = replace(setting(), timed=False)
    cut = {"outcome": Outcome.TIMEOUT, "limit_seconds": 0.02, "timed": False}
    done = known(("baseline", {"steps": 1, **cut}), ("submission", {"limit_steps": 5, **cut}))
    assert unfinished(slots, replace(untimed, limit_seconds=0.02), done) == []
    assert unfinished(slots, untimed, done) == slots


def test_peer_runs_again_for_another_horizon(setting, known):
    slots = schedule(PAIRS[:1], ADAM, [OURS], repeats=1)
    for horizon, left in ((100, []), (99, slots[1:])):
        ended = {"outcome": Outcome.STOPPED, "given": {"horizon": horizon}}
        done = known(("baseline", {"steps": 100}), ("submission", ended))
        assert unfinished(slots, setting(), done) == left


def test_steps_are_the_limit_without_timing(setting, known, make_result):
    base, ours = schedule(PAIRS[:1], ADAM, [OURS], repeats=1)
    untimed = replace(setting(), timed=False)
    done = known(("baseline", {"steps": 100, "timed": False}))
    assert limits(base, untimed, done) == Limit(3600, None)
    assert limits(ours, untimed, done) == Limit(3600, 500)
    assert limits(ours, setting(), known(("baseline", {"seconds": 20.0}))) == Limit(100, None)


@pytest.mark.parametrize("changed", ["before", "during"])
def test_submission_edited_during_the_run_gives_no_result(
    setting, submission_file, monkeypatch, changed
):
    path = submission_file("def train(task):\n    pass\n")
    (ours,) = find_submissions([path])
    slot = schedule(PAIRS[:1], ADAM, [ours], repeats=1)[1]
    runs = []

    def run_in_process(job, stop):
        runs.append(job.submission)
        path.write_text("def train(task):\n    raise SystemExit\n")
        return {}, None

    monkeypatch.setattr(runner, "run_in_process", run_in_process)
    if changed == "before":
        path.unlink()
    with pytest.raises(InputError, match="train.py: has changed since the evaluation began"):
        run_slot(slot, Limit(9, None), {}, setting(), None, threading.Event())
    assert runs == ([] if changed == "before" else [str(path)])


@pytest.mark.parametrize("first", [0, 3])
def test_grid_runs_in_parallel_untimed_and_its_best_point_is_timed(
    setting, known, make_result, monkeypatch, first
):
    """The grid runs in the first repeat, and later repeats use its best point.

    The shortest cosine takes 500 steps at a rate of 4e-3, and 499 at 2e-3.
    """
    side_by_side, runs = threading.Barrier(2), []

    def run_slot(slot, limit, given, setting, build, stop):
        runs.append((slot.role, setting.timed, given, limit.steps))
        assert slot.repeat == (first if slot.role == "tuning" else first + 1)
        if slot.role == "tuning":
            side_by_side.wait(60)  # the grid has an even number of points
        taken = {4e-3: 500, 2e-3: 499}.get(given.get("learning_rate"), 10**9)
        is_reached = given["cosine"] == 0.125 and taken <= (limit.steps or math.inf)
        return make_result(
            role=slot.role,
            repeat=slot.repeat,
            pair="one",
            variant_digest=VARIANT.digest,
            submission_sha256=slot.submission.sha256,
            timed=setting.timed,
            given=given,
            limit_seconds=limit.seconds,
            limit_steps=limit.steps,
            steps=taken,
            outcome=Outcome.REACHED if is_reached else Outcome.TIMEOUT,
        )

    monkeypatch.setattr(runner, "run_slot", run_slot)
    (tuned,), _ = find_peers(["adam_tuned"])
    *_, slot = schedule(PAIRS[:1], ADAM, [tuned], repeats=2, first=first)

    def baselines(steps):
        repeats = (first, first + 1)
        return known(*(("baseline", {"steps": steps, "repeat": repeat}) for repeat in repeats))

    here = replace(setting(), first_repeat=first)
    everything = Runs(here, baselines(800), None, lambda *_: None)
    everything.run(slot)
    *grid, last = runs
    assert {(role, timed) for role, timed, _, _ in grid} == {("tuning", False)}
    assert (grid[0][3], grid[-1][3]) == (800, 499)
    assert last == (
        "submission",
        True,
        {"horizon": 800, "learning_rate": 2e-3, "cosine": 0.125},
        None,
    )
    runs.clear()
    everything.run(slot)  # the grid's results are known now
    assert len(runs) == 1
    runs.clear()
    everything._known |= baselines(900)  # another horizon needs a new grid
    everything.run(slot)
    assert len(runs) == len(grid) + 1 and runs[0][2]["horizon"] == 900
