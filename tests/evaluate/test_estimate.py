"""The estimated duration of an evaluation."""

import functools
from dataclasses import replace
from pathlib import Path

import pytest

from evaluate.outcomes import Outcome
from evaluate.pairs import Pair
from evaluate.peers import find_peers
from evaluate.score import estimate
from evaluate.score.estimate import SETUP, Forecast, duration
from evaluate.score.results import latest
from evaluate.score.schedule import Setting, schedule
from evaluate.submission import Submission
from tasks import Variant

VARIANT = Variant("mlp", "digits", target=0.5)
PAIR = Pair("demo", "one", VARIANT)
ADAM = Submission(Path("adam.py"), "adam", "b" * 64)
OURS = Submission(Path("train.py"), "train", "a" * 64)


@pytest.fixture
def setting(tmp_path, make_result):
    return Setting(tmp_path, "cpu", 1, None, [], make_result().hardware, {}, {})


@pytest.fixture
def base(make_result):
    """Return a run of the baseline on the pair."""
    fields = {"role": "baseline", "pair": "one", "variant_digest": VARIANT.digest}
    return functools.partial(make_result, submission_sha256=ADAM.sha256, **fields)


def record(**fields):
    variant = replace(VARIANT, target=None).to_dict()
    return {"variant": variant, "seconds": 200.0, "epoch": 6, "epochs": 10, **fields}


def test_expected_time_of_a_run_is_the_baselines(setting, base):
    slots = schedule([PAIR], ADAM, [OURS], repeats=2)
    forecast = Forecast(slots, setting, latest([base(seconds=100.0)]), jobs=1)
    assert forecast.text() == (
        f"4 runs: about {duration(4 * (100 + SETUP))} if each takes as long as the baseline did, "
        f"at most about {duration(2 * 100 + 2 * 500 + 4 * SETUP)}"
    )


def test_estimate_before_any_run_uses_the_target_measurement(setting, monkeypatch):
    monkeypatch.setattr(estimate.targets, "read", lambda: {"one": record()})
    slots = schedule([PAIR], ADAM, [OURS], repeats=1)
    # expected: 2 runs of 120 s; at most: the baseline's 120 s and five times that
    text = Forecast(slots, setting, {}, jobs=1).text()
    assert text == (
        f"2 runs: about {duration(2 * (120 + SETUP))} if each takes as long as the baseline did, "
        f"at most about {duration(120 + 600 + 2 * SETUP)}"
    )
    assert Forecast(slots, setting, {}, jobs=2).text().startswith("2 runs: about 3 min")
    quiet = {"one": record(processor_seconds=100.0)}
    monkeypatch.setattr(estimate.targets, "read", lambda: quiet)
    assert Forecast(slots, setting, {}, jobs=1).text().startswith("2 runs: about 3 min")


def test_estimate_is_bounded_by_limits_and_ignores_failures(setting, monkeypatch, base):
    monkeypatch.setattr(estimate.targets, "read", lambda: {"one": record()})
    failed = base(seconds=0.0, outcome=Outcome.ERROR)
    slots = schedule([PAIR], ADAM, [OURS], repeats=1)
    limited = replace(setting, limit_seconds=60.0)
    text = Forecast(slots, limited, latest([failed]), jobs=1).text()
    assert text == (
        f"2 runs: about {duration(2 * (60 + SETUP))} if each takes as long as the baseline did, "
        f"at most about {duration(2 * (60 + SETUP))}"
    )
    text = Forecast(slots, setting, latest([failed]), jobs=1).text()
    assert text.startswith(f"2 runs: about {duration(2 * (120 + SETUP))} if")


def test_changed_or_untimed_pair_is_named(setting, monkeypatch):
    changed = record(variant=replace(VARIANT, target=None, batch_size=7).to_dict())
    for known in ({}, {"one": changed}):
        monkeypatch.setattr(estimate.targets, "read", lambda known=known: known)
        text = Forecast(schedule([PAIR], ADAM, [OURS], 1), setting, {}, jobs=1).text()
        assert text.endswith("; and what takes one, never timed")


def test_grid_of_the_tuned_peer_counts_once(setting, monkeypatch):
    monkeypatch.setattr(estimate.targets, "read", lambda: {"one": record()})
    (tuned,), _ = find_peers(["adam_tuned"])
    for first in (0, 3):
        slots = schedule([PAIR], ADAM, [tuned], 2, first)
        forecast = Forecast(slots, replace(setting, first_repeat=first), {}, jobs=1)
        assert f"about {duration(19 * (120 + SETUP))} if" in forecast.text()


def test_remaining_time_follows_the_pace(setting, monkeypatch, base):
    monkeypatch.setattr(estimate.targets, "read", lambda: {"one": record()})
    slots = schedule([PAIR], ADAM, [OURS], repeats=2)
    forecast = Forecast(slots, setting, {}, jobs=1)
    assert forecast.seconds_left(5.0) is None
    forecast.done(base())
    assert forecast.seconds_left(10.0) == pytest.approx(30.0)


@pytest.mark.parametrize(
    "seconds, text", [(45, "45 s"), (700, "12 min"), (7260, "2 h 01 min"), (5999, "1 h 40 min")]
)
def test_durations_are_formatted(seconds, text):
    assert duration(seconds) == text
