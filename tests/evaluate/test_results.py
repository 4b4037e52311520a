"""Result files are complete and self-describing, and finished runs are not repeated."""

import dataclasses
import json
import math

import pytest

from evaluate.errors import InputError
from evaluate.outcomes import Outcome
from evaluate.provenance import portable_command
from evaluate.sandbox.limits import Limit
from evaluate.score.results import latest, load_all, pack, save


def test_round_trip(tmp_path, make_result):
    result = make_result()
    save(tmp_path, result)
    assert load_all(tmp_path) == [result]


def test_files_are_strict_json(tmp_path, make_result):
    path = save(tmp_path, make_result(seconds=math.inf, verified_test_losses=[math.nan, 0.5]))
    fields = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert fields["seconds"] is None and fields["verified_test_losses"] == [None, 0.5]
    assert fields["format"] == "evaluate-result-1"


def test_repeated_run_is_added_and_the_latest_counts(tmp_path, make_result):
    failed = make_result(outcome=Outcome.ERROR)
    mended = make_result(started_at="2026-01-03T00:00:00+00:00")
    save(tmp_path, mended)
    save(tmp_path, failed)
    assert load_all(tmp_path) == [failed, mended]
    assert list(latest(load_all(tmp_path)).values()) == [mended]


def test_repeated_run_is_sorted_by_its_new_time(make_result):
    failed = make_result(outcome=Outcome.ERROR)
    other = make_result(pair="other", started_at="2026-01-03T00:00:00+00:00")
    mended = make_result(started_at="2026-01-04T00:00:00+00:00")
    assert list(latest([failed, other, mended]).values()) == [other, mended]


@pytest.mark.parametrize(
    "field, value",
    [
        ("pair", "other"),
        ("suite", "other"),
        ("variant_digest", "other"),
        ("role", "baseline"),
        ("submission_sha256", "c" * 64),
        ("repeat", 1),
        ("hardware", {"cpu": "another"}),
    ],
)
def test_changes_that_make_another_run(make_result, field, value):
    assert make_result().key != make_result(**{field: value}).key


def test_changes_that_do_not_make_another_run(make_result):
    assert make_result().key == make_result(submission="renamed", started_at="later").key


@pytest.mark.parametrize(
    "outcome, final",
    [
        ("reached", True),
        ("stopped", True),
        ("diverged", True),
        ("cheated", True),
        ("error", False),
        ("out-of-memory", False),
    ],
)
def test_failures_are_repeated(make_result, outcome, final):
    assert make_result(outcome=Outcome(outcome)).is_final(Limit(1000.0)) is final


def test_timeout_is_repeated_only_with_a_larger_limit(make_result):
    result = make_result(outcome=Outcome.TIMEOUT, limit_seconds=60.0)
    finals = [result.is_final(Limit(seconds)) for seconds in (30.0, 60.0, 61.0)]
    assert finals == [True, True, False]


@pytest.mark.parametrize("fields", [{"hardware": {}}, {"seconds": None}, {"steps": "many"}])
def test_unshowable_result_is_named(tmp_path, make_result, fields):
    path = save(tmp_path, make_result())
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))
    with pytest.raises(InputError, match=r"not a result .*; move it"):
        load_all(tmp_path)


@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\xff", b"{", b"[]", b"{}", b'{"format": "evaluate-result-1"}', b"[" * 10**5],
)
def test_non_result_file_is_named(tmp_path, content):
    (tmp_path / "alien.json").write_bytes(content)
    with pytest.raises(InputError, match=r"alien\.json: not a result .*; move it"):
        load_all(tmp_path)


def test_long_names_give_valid_file_names(tmp_path, make_result):
    result = make_result(submission="n" * 300)
    assert len(save(tmp_path, result).name) < 200
    assert load_all(tmp_path) == [result]


def test_packed_results_only_shorten_curves(tmp_path, make_result):
    curve = {"seconds": list(map(float, range(200))), "steps": list(range(200))}
    curve["loss"] = [math.nan, *map(float, range(199))]
    rates = [[step, [0.123456]] for step in range(200)]
    result = make_result(train_curve=curve, learning_rates=rates)
    tuning = make_result(role="tuning")
    path = tmp_path / "demo.jsonl"
    pack([result, tuning], path)
    (found,) = load_all(path)
    assert len(found.train_curve["loss"]) == len(found.learning_rates) == 60
    assert found.train_curve["steps"][-1] == 199 and found.train_curve["loss"][0] is None
    assert found.learning_rates[-1] == [199, [0.1235]]
    assert found.test_curve == result.test_curve and found.key == result.key
    shortened = {"train_curve": None, "learning_rates": None}
    assert dataclasses.replace(found, **shortened) == dataclasses.replace(result, **shortened)


def test_untimed_results_compare_across_hardware_and_never_with_timed_ones(make_result):
    here, there = make_result(timed=False), make_result(timed=False)
    there.hardware["cpu"] = "another"
    assert here.key == there.key != make_result().key
    assert make_result(hardware=there.hardware).key != make_result().key


def test_run_at_its_step_limit_is_final_until_a_limit_grows(make_result):
    result = make_result(outcome=Outcome.TIMEOUT, limit_steps=10, limit_seconds=60.0)
    assert result.is_final(Limit(60.0, 10)) and result.is_final(Limit(30.0, 9))
    for grown in (Limit(61.0, 10), Limit(60.0, 11), Limit(60.0, None)):
        assert not result.is_final(grown)


def test_recorded_command_has_no_local_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [
        "/home/somebody/train.py",
        "--out",
        f"{tmp_path}/out",
        f"--out={tmp_path}/out",
        "a=b",
    ]
    assert portable_command(command) == ["train.py", "--out", "out", "--out=out", "a=b"]
