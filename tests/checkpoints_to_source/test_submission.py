"""The commands submission and validate, on a made-up policy and made-up results."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pypdf import PdfReader
from results import make_result

from benchmarks.registry import benchmark
from benchmarks.results import result_of
from checkpoints_to_source import train_file
from checkpoints_to_source.archive import FILES, pack
from checkpoints_to_source.cli import main
from checkpoints_to_source.report import facts, figures, set_report
from checkpoints_to_source.report.measured import FACTS, measured
from checkpoints_to_source.report.results import ReportError, read_runs
from checkpoints_to_source.validation import trial, validate
from checkpoints_to_source.validation.content import readme_faults
from evaluate.outcomes import Outcome
from evaluate.score.results import save
from metalearn.config import Config
from policy.checkpoint import Policy, digest, load_policy, save_policy
from policy.rule.spec import Spec
from policy.rule.weights import initial_weights
from writing.statistics import with_interval

BENCHMARKS = Path("docs/results")
CONFIG = json.loads(Config(Path("run"), families=("mlp", "cnn"), steps=2).to_json())
#: More pairs than fit in one Markdown table with the methods.
PAIRS = ("digits_mlp", "topics_lstm", "waves_vit", "fourth", "fifth", "last")


def run(pair, name, sha256, seconds, steps):
    is_baseline = name == "adam"
    return make_result(
        pair=pair,
        role="baseline" if is_baseline else "submission",
        submission=name,
        submission_sha256=sha256,
        seconds=seconds,
        steps=steps,
        calls={"batch_loss_and_gradient": steps, "test": 4},
        test_seconds=seconds / 8,
        test_curve={"seconds": [1, 2], "steps": [10, steps], "loss": [1.0, 0.4]},
        learning_rates=None if is_baseline else [[10, [0.01, 0.002]], [steps, [0.02, 0.004]]],
        tensor_shapes=[[2, 2], [2]],
        started_at=f"2026-01-01T00:00:{seconds:06.3f}+00:00",
    )


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Return a folder with policy.safetensors, its log.jsonl, an evaluation and benchmarks."""
    folder = tmp_path_factory.mktemp("inputs")
    policy = Policy(Spec(), initial_weights(Spec(), 0))
    taught = {"architectures": 31, "arms": 9, "rounds": 2, "begin": ""}
    origin = {"config": json.dumps(CONFIG), "hindsight": json.dumps(taught)}
    save_policy(folder / "policy.safetensors", policy, origin)
    log = [{"step": i, "ratio": 1 / i, "inner_steps": 100} for i in (1, 2)]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
    ours = hashlib.sha256(train_file(policy).source.encode()).hexdigest()
    methods = {
        "adam": ("a" * 64, 8.0, 400),
        "train": (ours, 4.0, 160),
        "adam_averaged": ("b" * 64, 5.0, 250),
        "policy_free": ("c" * 64, 6.0, 300),
    }
    (folder / "results").mkdir()
    for pair in PAIRS:
        for name, of_method in methods.items():
            save(folder / "results", run(pair, name, *of_method))
    (folder / "benchmarks").mkdir()
    for name in FACTS:
        result = json.loads((BENCHMARKS / f"{name}.json").read_text())
        result["policy sha256"] = digest(policy)
        (folder / "benchmarks" / f"{name}.json").write_text(json.dumps(result))
    return folder


def arguments(folder, out, **changed):
    options = {
        "team": "Team <#strong> & co",
        "policy": folder / "policy.safetensors",
        "results": folder / "results",
        "benchmarks": folder / "benchmarks",
        **changed,
    }
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    members = ["--member", "Ada *Lovelace*", "--member", "Alan"]
    return ["submission", *flags, *members, "--out", str(out)]


@pytest.fixture(scope="module")
def built(inputs):
    out = inputs / "first.zip"
    assert main(arguments(inputs, out)) == 0
    return out


def test_zip_has_three_files_and_no_fault(built):
    with zipfile.ZipFile(built) as archive:
        assert tuple(archive.namelist()) == FILES
        text = archive.read("README.md").decode()
    assert "Team: Team <#strong> & co" in text and "- Ada *Lovelace*\n- Alan" in text
    assert readme_faults(text.encode()) == []
    assert validate.read_faults(built.read_bytes()) == []


def test_equal_input_gives_equal_bytes(built, inputs):
    again = inputs / "again.zip"
    assert main(arguments(inputs, again)) == 0
    assert again.read_bytes() == built.read_bytes()


def text_of(path):
    """Return the text of the four pages of a submission's report, on one line."""
    with zipfile.ZipFile(path) as archive:
        reader = PdfReader(io.BytesIO(archive.read("report.pdf")))
    assert len(reader.pages) == 4
    return " ".join(" ".join(page.extract_text() for page in reader.pages).split())


def test_report_has_four_pages_with_the_results_in_them(built, inputs):
    text = text_of(built)
    assert "Team <#strong> & co" in text and "Ada *Lovelace*" in text
    assert "Profile digits mlp" in text and "1.00 2.00 2.50 2.00" in text  # pairs, then scores
    assert "scores 2.00 / 2.50" in text  # evaluate's scores of the made-up runs
    assert "scores 1.60 / 1.60" in text and "scores 1.33 / 1.33" in text
    assert "Of 6 runs 6 reached the target, with 24 tests" in text and "12.5 %" in text
    assert "31 fresh architectures is run 9 times on the same batches" in text
    assert "What learning adds depends on the architecture" in text
    found = measured(inputs / "benchmarks", digest(load_policy(inputs / "policy.safetensors")))
    for row in found["fresh_races"]["rows"]:
        assert with_interval(row["mean"], row["interval"]) in text


@pytest.mark.parametrize(
    "estimator, guidance, meta_loss", [("actions", 0.0, "area"), ("pes", 1.5, "time")]
)
def test_without_hindsight_and_benchmarks_the_report_has_four_pages(
    inputs, tmp_path, estimator, guidance, meta_loss
):
    policy = load_policy(inputs / "policy.safetensors")
    sha256 = hashlib.sha256(train_file(policy).source.encode()).hexdigest()
    given = "Team", ["Ada"], policy, inputs / "policy.safetensors", sha256
    found, runs = facts.gather(*given, [inputs / "results"], tmp_path)
    assert set(found["measured"]) == set(FACTS) and not any(found["measured"].values())
    changed = {"hindsight": None, "estimator": estimator, "guidance": guidance}
    found["settings"] |= {**changed, "meta_loss": meta_loss}
    pictures = {
        "meta_loss": figures.meta_loss([{"step": 1, "ratio": 0.5}]),
        "learning_rates": figures.learning_rates(runs, sha256),
        "test_losses": figures.test_losses(runs, sha256),
    }
    pages = PdfReader(io.BytesIO(set_report(found, pictures))).pages
    text = " ".join(" ".join(page.extract_text() for page in pages).split())
    assert "What learning adds" not in text and "hindsight" not in text


@pytest.mark.parametrize("name", FACTS)
def test_report_and_pages_show_the_same_figures_of_a_benchmark(name):
    result = result_of(benchmark(name))
    shown = benchmark(name).table(result)
    found = measured(BENCHMARKS, result["policy sha256"])[name]
    rows = found.get("rows", [])
    assert all(with_interval(row["mean"], row["interval"]) in shown for row in rows)
    if name == "hindsight":  # there the bound is over the policy
        low, high = 1 / np.array(found["interval"])[::-1]
        assert with_interval(1 / found["mean"], [low, high]) in shown
    if name == "kinds":
        for mean, slower in zip(found["means"], found["slower"], strict=True):
            assert f"{mean:.2f}; " in shown
            assert f"{slower} slower than Adam, of {found['runs']}" in shown


def test_non_benchmark_result_is_refused_and_another_policys_left_out(tmp_path):
    (tmp_path / "kinds.json").write_text('{"policy sha256": "a"}')
    with pytest.raises(ReportError, match="kinds.json: not a result of this benchmark"):
        measured(tmp_path, "a")
    assert measured(tmp_path, "b")["kinds"] is None


def test_older_policies_keep_their_settings(tmp_path):
    older = {name: value for name, value in CONFIG.items() if name not in facts.SINCE}
    policy = Policy(Spec(), initial_weights(Spec(), 0))
    save_policy(tmp_path / "policy", policy, {"config": json.dumps(older)})
    found = facts._settings(tmp_path / "policy")
    assert facts.SINCE.items() <= found.items() and found["hindsight"] is None


@pytest.mark.parametrize(
    "changed, named",
    [
        ({"team": " "}, "--team"),
        ({"team": "two\nlines"}, "--team"),
        ({"team": "\u738b\u5c0f\u660e"}, "lacks some characters"),  # Chinese
        ({"results": "nowhere"}, "nowhere: holds no results"),
        ({"policy": "nowhere"}, "nowhere: no such file"),
    ],
)
def test_bad_input_is_named_and_nothing_written(inputs, tmp_path, capsys, changed, named):
    out = tmp_path / "new.zip"
    assert main(arguments(inputs, out, **changed)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and named in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_results_of_another_policy_are_refused(inputs, tmp_path, capsys):
    (tmp_path / "log.jsonl").write_text((inputs / "log.jsonl").read_text())
    other = Policy(Spec(), initial_weights(Spec(), 1))
    save_policy(tmp_path / "other.safetensors", other, {"config": json.dumps(CONFIG)})
    changed = {"policy": tmp_path / "other.safetensors"}
    assert main(arguments(inputs, tmp_path / "new.zip", **changed)) == 2
    assert "no run of this policy's train.py" in capsys.readouterr().err
    assert not (tmp_path / "new.zip").exists()


@pytest.mark.parametrize(
    "content, fault", [("", "holds no results"), ("{", "line 1: not a result")]
)
def test_non_result_is_refused(tmp_path, content, fault):
    (tmp_path / "packed.jsonl").write_text(content)
    with pytest.raises(ReportError, match=f"packed.jsonl.*{fault}"):
        read_runs(tmp_path / "packed.jsonl")


def test_share_of_tests_is_over_timed_successful_runs():
    timed = run("digits_mlp", "train", "d" * 64, 8.0, 100)
    untimed = replace(timed, timed=False, test_seconds=100.0)
    missed = replace(timed, outcome=Outcome.TIMEOUT, test_seconds=100.0)
    found = {"runs": 3, "reached": 2, "tests": 8, "share": 0.125}
    assert facts._testing([timed, untimed, missed]) == found
    assert facts._testing([untimed])["share"] is None


def test_log_gives_inner_steps_if_an_episode_ended(tmp_path):
    def log(ratios):
        rows = [{"step": i, "ratio": ratio, "inner_steps": 3} for i, ratio in enumerate(ratios, 1)]
        (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return facts._log(tmp_path / "policy.safetensors")

    assert log([None, 0.5, 0.7, None]) == {"inner_steps": 12}
    with pytest.raises(ReportError, match="no episode ended"):
        log([None, None])


def test_validate_names_all_faults_of_all_files(tmp_path, capsys):
    path = tmp_path / "bad.zip"
    source = b"import socket\n\n\ndef train(a, b):\n    open('x')\n"
    path.write_bytes(pack({"README.md": b"", "train.py": source, "report.pdf": b"no"}))
    assert main(["validate", str(path)]) == 1
    error = capsys.readouterr().err
    for named in ("the team", "members", "socket", "one argument", "open", "PDF", "was not run"):
        assert named in error
    assert all(line.startswith("error: ") and "; " in line for line in error.splitlines())


@pytest.mark.parametrize("package", ["pypdf", "vermin"])
def test_missing_extra_is_no_fault_of_the_zip(built, monkeypatch, capsys, package):
    monkeypatch.setitem(sys.modules, package, None)
    assert main(["validate", str(built)]) == 2
    assert capsys.readouterr().err == (
        f"error: {package} is not installed; run pip install -e '.[submission]'\n"
    )


def test_huge_zip_is_not_read(tmp_path, capsys):
    with (tmp_path / "huge.zip").open("wb") as file:
        file.truncate(2**40)  # sparse
    assert main(["validate", str(tmp_path / "huge.zip")]) == 1
    assert "is huge" in capsys.readouterr().err


ADAM = """
import torch

def train(task):
    optimizer = torch.optim.Adam(task.state, lr=3e-3)
    while True:
        batches = task.train_iterator(batch_size=task.default_batch_size, shuffle=True)
        for batch in batches:
            _, gradients = task.batch_loss_and_gradient(batch)
            for weight, gradient in zip(task.state, gradients):
                weight.grad = gradient
            optimizer.step()
        task.test(task.state)
"""


@pytest.mark.slow
def test_train_that_reaches_the_targets_has_no_fault():
    assert trial.trial_faults(ADAM.encode()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "body, what",
    [
        ("return", "stopped"),
        ("1 / 0", "ZeroDivisionError"),
        ("vars(io)['op' + 'en']('/etc/hostname')", "reaches for files"),
        ("torch.ones(2**40)", "out-of-memory"),
    ],
)
def test_failures_in_train_are_named(body, what):
    source = f"import io\nimport torch\n\n\ndef train(task):\n    {body}\n"
    assert what in " ".join(map(str, trial.trial_faults(source.encode())))


@pytest.mark.slow
def test_our_own_submission_is_valid(built):
    command = [sys.executable, "-m", "checkpoints_to_source", "validate", str(built)]
    done = subprocess.run(command, capture_output=True, text=True)
    # The untrained policy may miss a target, but nothing else may be wrong.
    faults = [line for line in done.stderr.splitlines() if "it ends by" not in line]
    assert faults == [] and done.returncode in (0, 1)
