"""Evaluation suites and the command line."""

import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tasks import FAMILIES, TRAINING_FAMILIES, DataError, Done, VariantError, build_task, suite
from tasks.data import DATA, HELD_OUT, NEEDS_FILES, digest_of_text
from tasks.data.formats import Shape
from tasks.model import build_network
from tasks.reference import adam_epochs
from tasks.suites import SUITES, has_other_text, measure_suite, targets

ROOT = Path(__file__).parents[2]
MEASURED = targets.read()


@pytest.mark.parametrize(
    "name", ["demo", "smoke", "development", "validation", "long", "full_size"]
)
def test_targets_follow_the_rule_and_belong_to_their_pairs(name):
    for pair_name, pair in SUITES[name].items():
        record, epoch = MEASURED[pair_name], math.ceil(targets.TARGET_SHARE * pair.epochs)
        assert targets.is_of(record, pair), "changed since it was measured: measure it again"
        assert len(record["losses"]) == pair.epochs and record["epoch"] == epoch
        assert 0 <= record["target"] - record["losses"][epoch - 1] <= 1.1e-3


def test_names_of_pairs_are_unique():
    """Targets are stored by name."""
    names = [name for pairs in SUITES.values() for name in pairs]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", ["validation", "long"])
def test_held_out_suites_share_no_family_and_no_data_with_training(name):
    pairs = SUITES[name].values()
    assert len(pairs) >= 8
    assert all(FAMILIES[p.variant.family].held_out and p.variant.data in HELD_OUT for p in pairs)


def test_validation_has_all_families_and_data_that_are_held_out():
    pairs = SUITES["validation"].values()
    assert {p.variant.family for p in pairs} == {n for n, f in FAMILIES.items() if f.held_out}
    assert {p.variant.data for p in pairs} == HELD_OUT


def test_gpu_pairs_have_the_samples_sizes():
    """ResNet-18 for small images, and the LSTM: 3 layers of 4 gates, tied embedding, bias."""
    size = {"resnet": 11_173_962, "rnn_lm": 33_278 * 650 + 3 * 4 * (2 * 650**2 + 2 * 650) + 33_278}
    inputs = {"resnet": Shape((3, 32, 32), 10), "rnn_lm": Shape((30,), 33_278)}
    families = [pair.variant.family for pair in SUITES["gpu"].values()]
    assert len(families) >= 4 and {f: families.count(f) for f in size} == {"resnet": 2, "rnn_lm": 2}
    for name in ("resnet18_cifar10", "lstm_wikitext2"):
        variant = SUITES["gpu"][name].variant
        network = build_network(variant, inputs[variant.family])
        assert sum(p.numel() for p in network.parameters()) == size[variant.family]


def test_smoke_targets_are_reached_by_the_baseline():
    for name, variant in suite("smoke").items():
        with pytest.raises(Done):
            adam_epochs(build_task(variant), SUITES["smoke"][name].epochs)


def test_measuring_reproduces_a_target_and_resumes(tmp_path, monkeypatch):
    """After an interruption, only missing or changed targets are measured."""
    path, ran, measure = tmp_path / "targets.json", [], targets.measure

    def interrupted(pair, root, device):
        ran.append(pair.variant.family)
        if len(ran) == 2:
            raise KeyboardInterrupt
        return measure(pair, root, device)

    monkeypatch.setattr(targets, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure_suite("smoke", path)
    again = targets.read(path)
    assert again.keys() == {"digits_mlp"} and list(tmp_path.iterdir()) == [path]
    assert again["digits_mlp"]["target"] == pytest.approx(
        MEASURED["digits_mlp"]["target"], abs=0.02
    )
    measure_suite("smoke", path)
    digests = {name: record["text"] for name, record in targets.read(path).items()}
    text = SUITES["smoke"]["topics_lstm_tiny"].variant
    here = digest_of_text(text.data, text.data_options, None)
    assert digests == {"digits_mlp": None, "topics_lstm_tiny": here} and len(here) == 16
    assert ran == ["mlp", "rnn_lm", "rnn_lm"]
    assert targets.read(path)["digits_mlp"] == again["digits_mlp"]

    changed = SUITES["smoke"]["digits_mlp"]._replace(epochs=2)
    monkeypatch.setitem(SUITES, "smoke", {"digits_mlp": changed})
    measure_suite("smoke", path)
    assert ran[3:] == ["mlp"] and targets.read(path)["digits_mlp"]["epochs"] == 2
    assert "topics_lstm_tiny" in targets.read(path)


def test_text_other_than_the_targets_is_detected(monkeypatch):
    pair = SUITES["smoke"]["topics_lstm_tiny"].variant
    here = {"text": digest_of_text(pair.data, pair.data_options, None)}
    monkeypatch.setattr(targets, "read", lambda: {"tiny": here, "image": {"text": None}})
    assert not has_other_text("tiny", pair) and not has_other_text("another", pair)
    module = sys.modules["tasks.data.topics"]
    corpus = module._corpus()
    monkeypatch.setattr(module, "_corpus", lambda: corpus[1:])
    assert has_other_text("tiny", pair)
    assert not has_other_text("image", SUITES["smoke"]["digits_mlp"].variant)


def test_two_suites_are_measured_into_one_file(tmp_path, monkeypatch):
    """The second one starts and ends while the first is being measured."""
    path, measure = tmp_path / "targets.json", targets.measure
    pairs = SUITES["smoke"]
    monkeypatch.setitem(SUITES, "smoke", {"digits_mlp": pairs["digits_mlp"]})
    monkeypatch.setitem(SUITES, "demo", {"topics_lstm_tiny": pairs["topics_lstm_tiny"]})

    def interleaved(pair, root, device):
        if pair == pairs["digits_mlp"]:
            measure_suite("demo", path)
        return measure(pair, root, device)

    monkeypatch.setattr(targets, "measure", interleaved)
    measure_suite("smoke", path)
    assert targets.read(path).keys() == {"digits_mlp", "topics_lstm_tiny"}


def test_pair_without_a_batch_or_a_finite_loss_is_refused(monkeypatch):
    pair = SUITES["smoke"]["digits_mlp"]
    with pytest.raises(VariantError, match="no batch of 5000"):
        targets.measure(pair._replace(variant=replace(pair.variant, batch_size=5000)))
    monkeypatch.setattr(targets, "adam_epochs", lambda task, epochs: ([math.nan] * epochs, 1.0))
    with pytest.raises(VariantError, match="test loss is nan after epoch"):
        targets.measure(pair)


def test_nothing_is_measured_if_it_cannot_be_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(targets, "measure", lambda *arguments: pytest.fail("was measured"))
    (tmp_path / "file").touch()
    with pytest.raises(VariantError, match="cannot write .*file"):
        measure_suite("smoke", tmp_path / "file" / "targets.json")


def test_pair_without_a_fitting_target_is_left_out(monkeypatch, capsys):
    changed = SUITES["smoke"]["digits_mlp"]._replace(epochs=2)
    monkeypatch.setitem(SUITES["smoke"], "digits_mlp", changed)
    assert set(suite("smoke")) == {"topics_lstm_tiny"}
    notice = capsys.readouterr().err
    assert "without digits_mlp: run `python -m tasks measure smoke` first" in notice


def test_pairs_without_data_are_not_measured(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(SUITES, "gpu", {"x": SUITES["gpu"]["resnet18_cifar10"]})
    measure_suite("gpu", tmp_path / "targets.json", root=tmp_path)
    assert "x is not measured: CIFAR-10 is not in" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_data_sets_that_need_files_say_so(tmp_path):
    for name, find in NEEDS_FILES.items():
        for attempt in (find, DATA[name]):
            with pytest.raises(DataError, match=f"python -m tasks download {name}") as error:
                attempt(tmp_path)
            assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["", "[]", '{"x": {"epochs": 3}}', "{"])
def test_foreign_file_is_refused_and_kept(tmp_path, content):
    path = tmp_path / "targets.json"
    path.write_text(content)
    with pytest.raises(VariantError, match="targets.json holds no measured targets"):
        measure_suite("smoke", path)
    assert path.read_text() == content


def test_suite_leaves_out_pairs_without_data(tmp_path, capsys):
    pairs = suite("demo", root=tmp_path)
    assert set(pairs) == {"digits_cnn_batchnorm", "topics_lstm", "topics_transformer"}
    notice = capsys.readouterr().err
    assert notice.count("notice: demo goes without fashion_") == 2
    assert "python -m tasks download fashion" in notice
    known = "demo, development, full_size, gpu"
    with pytest.raises(VariantError, match=f"unknown suite 'x'; known: {known}"):
        suite("x")


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "tasks", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_command_line():
    shown = run("show", "topics_lstm")
    assert shown.returncode == 0
    assert f"target {MEASURED['topics_lstm']['target']}" in shown.stdout
    listed = run("list").stdout
    assert all(name in listed for name in ("transformer_lm", "fashion", "smoke"))
    sampled = run("sample", "--n", "9").stdout
    assert sampled.count("│ mlp ") == 2 and all(f"│ {n} " in sampled for n in TRAINING_FAMILIES)
    assert sampled == run("sample", "--n", "9").stdout


def test_command_line_errors():
    wrong = {
        ("show", "nothing"): "unknown pair",
        ("show", "digits_mlp", "--out", "/dev/null/x.png"): "cannot write /dev/null/x.png",
        ("show", "digits_mlp", "--out", "x.abacus"): "cannot write x.abacus: Format 'abacus'",
        ("measure", "nothing"): "unknown suite",
        ("measure", "smoke", "--device", "abacus"): "device 'abacus' cannot be used",
        ("measure", "smoke", "--device", "meta"): "device 'meta' cannot be used: holds no task",
        ("measure", "smoke", "--out", "/dev/null/targets.json"): "cannot write /dev/null",
        ("sample", "--n", "0"): "n must be at least 1",
        ("download", "imagenet"): "unknown download 'imagenet'; known: cifar10, fashion",
    }
    for arguments, message in wrong.items():
        failed = run(*arguments)
        assert failed.returncode == 2 and not failed.stdout
        assert failed.stderr.startswith(f"error: {message}") and failed.stderr.count("\n") == 1
