"""The benchmark of fine-tuning: its runs and its table."""

import copy

import pytest
import torch
from absent import or_skip

from benchmarks import fine_tuning
from benchmarks.fine_tuning import CASES, METHODS, clothes, images, measure, other_images, table
from benchmarks.networks import KindTask
from benchmarks.origin import stamp


def begun(case):
    return or_skip(KindTask, CASES[case][0], 0)


@pytest.mark.parametrize("case", CASES)
def test_trained_model_is_fine_tuned_on_other_data(case):
    before = begun(case)
    model = copy.deepcopy(before.kind.model)
    after = KindTask(lambda: CASES[case][1](model), 1)
    assert not torch.equal(before.kind.train[0][:500], after.kind.train[0][:500])
    kept = [
        torch.equal(mine, theirs)
        for mine, theirs in zip(before.state, after.state, strict=True)
        if mine.shape == theirs.shape
    ]
    assert all(kept) and len(kept) >= len(before.state) - 2  # all but the head


def test_clothes_have_the_requested_labels():
    begun("images")  # skips without the data
    (x, y), (test_x, test_y) = clothes(5, 9, 40, 30)
    assert len(x) == len(y) == 40 and len(test_x) == len(test_y) == 30
    assert set(y.tolist()) == set(test_y.tolist()) == set(range(5))


def test_every_method_starts_from_the_same_trained_weights(monkeypatch):
    for name, value in {"PRETRAINING": 40, "WARM_UP": 5, "STEPS": 20, "TESTS": 2}.items():
        monkeypatch.setattr(fine_tuning, name, value)
    begun("images")
    (row,) = measure(("images", 0))
    assert row["pretrained"] < 1.3  # five classes: 1.6 untrained
    assert all(len(row[method]) == 3 for method in METHODS)
    starts = {round(row[method][0], 5) for method in METHODS}
    assert len(starts) == 1 and starts.pop() > row["pretrained"]
    assert len({row[method][-1] for method in METHODS}) == len(METHODS)


def test_epochs_continue_across_tests(monkeypatch):
    """Adam and LearnedLR continue an epoch after a test."""
    monkeypatch.setattr(fine_tuning, "STEPS", 40)
    begun("images")
    opened, iterator = [], KindTask.train_iterator
    monkeypatch.setattr(
        KindTask,
        "train_iterator",
        lambda task, **options: opened.append(options["shuffle"]) or iterator(task, **options),
    )
    for method in ("1e-2", "plain"):
        task = KindTask(lambda: other_images(images().model), 0)
        assert len(fine_tuning.tests(task, method)) == 11
        assert len(task.kind.train[0]) // task.default_batch_size == 31
        assert opened.count(True) == 2, "epochs"
        opened.clear()


def test_rows_have_the_last_and_the_lowest_loss():
    def row(case, seed, losses):
        return {"case": case, "seed": seed, **{method: losses for method in METHODS}}

    rows = [
        row("images", 0, [2.0, 0.5, 1.0]),
        row("images", 1, [4.0, 0.7, None]),
        row("images", 2, [3.0, 0.9, 2.0]),
        row("text", 0, [1.0, 0.5, 0.25]),
    ]
    lines = table({**stamp("cpu", 0), "rows": rows}).splitlines()
    assert lines[0] == "|  | images | text |"
    assert lines[2] == "| before | 3.000 | 1.000 |"
    assert lines[3] == "| Adam, cosine from 1e-2 | 2.000 (0.700) | 0.250 (0.250) |"
    assert "n = 3." in lines[-1]
