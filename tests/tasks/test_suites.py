"""Evaluation suites and the command line."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from tasks import Done, VariantError, build_task, suite
from tasks.reference import adam_epochs
from tasks.suite_targets import MEASURED
from tasks.suites import SUITES, TARGET_SHARE, measure

ROOT = Path(__file__).parents[2]


def test_targets_follow_the_rule():
    for pairs in SUITES.values():
        for name, pair in pairs.items():
            losses, epoch = MEASURED[name]["losses"], math.ceil(TARGET_SHARE * pair.epochs)
            assert len(losses) == pair.epochs and MEASURED[name]["epoch"] == epoch
            assert 0 <= MEASURED[name]["target"] - losses[epoch - 1] <= 1.1e-3


def test_smoke_targets_are_reached_by_the_baseline():
    for name, variant in suite("smoke").items():
        with pytest.raises(Done):
            adam_epochs(build_task(variant), SUITES["smoke"][name].epochs)


def test_measure_reproduces_a_target():
    again = measure(SUITES["smoke"]["digits_mlp"])
    assert again["target"] == pytest.approx(MEASURED["digits_mlp"]["target"], abs=0.02)


def test_suite_leaves_out_what_lacks_data(tmp_path, capsys):
    pairs = suite("demo", root=tmp_path)
    assert set(pairs) == {"digits_cnn_batchnorm", "topics_lstm", "topics_transformer"}
    notice = capsys.readouterr().err
    assert notice.count("notice: demo goes without fashion_") == 2
    assert "python -m tasks download fashion" in notice
    with pytest.raises(VariantError, match="unknown suite 'x'; known: demo, smoke"):
        suite("x")


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tasks", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_command_line():
    shown = run("show", "topics_lstm")
    assert shown.returncode == 0
    assert json.loads(shown.stdout)["target"] == MEASURED["topics_lstm"]["target"]
    listed = run("list").stdout
    assert all(name in listed for name in ("transformer_lm", "fashion", "smoke"))


def test_command_line_errors():
    for arguments in (("show", "nothing"), ("measure", "nothing")):
        failed = run(*arguments)
        assert failed.returncode == 2 and not failed.stdout
        assert failed.stderr.startswith("error: unknown") and failed.stderr.count("\n") == 1
    assert run("download", "imagenet").returncode == 2
