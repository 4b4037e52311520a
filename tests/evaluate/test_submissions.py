"""Submission files are checked before anything runs."""

import subprocess
import sys

import pytest

from evaluate.errors import InputError
from evaluate.run.submissions import baseline, find_submissions
from evaluate.submission import load

TRAIN = "def train(task):\n    pass\n"


def test_names_are_stems_or_folders_if_stems_collide(submission_file):
    one = submission_file(TRAIN, "one/train.py")
    two = submission_file(TRAIN + "#", "two/train.py")
    solo = submission_file(TRAIN + "##", "solo.py")
    names = [submission.name for submission in find_submissions([one, two, solo])]
    assert names == ["one/train", "two/train", "solo"]


def test_same_content_counts_once(submission_file):
    first, second = submission_file(TRAIN, "a.py"), submission_file(TRAIN, "b.py")
    assert [submission.path for submission in find_submissions([first, second])] == [first]


@pytest.mark.parametrize(
    "source",
    ["train = print\n", "from os import path as train\n", "if 1:\n    def train(task): ...\n"],
)
def test_train_may_be_bound_in_any_way(submission_file, source):
    assert find_submissions([submission_file(source)])


@pytest.mark.parametrize(
    "source, message",
    [
        ("def fit(task):\n    pass\n", r"train\.py: defines no train; add a function train\(task"),
        ("x = " + "-" * 100_000 + "1\n", r"train\.py: is nested too deeply or too long; break up"),
        ("x = x" + ".y" * 100_000 + "\n", r"train\.py: is nested too deeply or too long; break up"),
        ("def train(task)\n", r"train\.py: not Python .*; give the path of a train\.py"),
    ],
)
def test_bad_files_are_named(submission_file, source, message):
    with pytest.raises(InputError, match=message):
        find_submissions([submission_file(source)])


def test_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.py: No such file"):
        find_submissions([tmp_path / "gone.py"])


def test_check_runs_no_code(submission_file):
    assert find_submissions([submission_file(TRAIN + "raise SystemExit\n")])


def test_loading_leaves_no_bytecode_beside_the_file(submission_file):
    path = submission_file(TRAIN)
    assert load(path).train(None) is None
    assert list(path.parent.iterdir()) == [path]


def test_baseline_is_a_submission_like_any_other():
    assert find_submissions([baseline().path]) == [baseline()]


def test_warnings_do_not_print_a_line_of_the_file(submission_file):
    """In a process of its own, since pytest records warnings."""
    path = submission_file(TRAIN + "title = '\x1b]0;judge\x07\\d'\n")
    code = (
        "import sys, pathlib; from evaluate.run.submissions import find_submissions; "
        "find_submissions([pathlib.Path(sys.argv[1])])"
    )
    command = [sys.executable, "-W", "always", "-c", code, path]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "judge" not in found.stderr
