"""Cached curves equal computed ones, and their key holds everything that determines them."""

import multiprocessing
import time
from dataclasses import replace

import pytest
import torch

from tasks import BatchedTask, Variant, cached_curves, curve_cache

VARIANTS = [Variant("mlp", "digits", {"width": 6}, batch_size=8, seed=s) for s in (1, 2)]
STEPS = [0, 2, 4]


@pytest.fixture
def task():
    return BatchedTask(VARIANTS, test_samples=50)


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Return a file that gets a line for each computation of curves, with an empty cache."""
    monkeypatch.setenv("AUTOTRAIN_LR_CACHE", str(tmp_path))
    computed, path = curve_cache.adam_curves, tmp_path / "calls"
    path.touch()

    def counted(*arguments):
        with path.open("a") as file:
            file.write("computed\n")
        return computed(*arguments)

    monkeypatch.setattr(curve_cache, "adam_curves", counted)
    return path


def count(calls):
    return len(calls.read_text().splitlines())


def entries():
    return sorted(curve_cache.cache_folder().glob("*.safetensors"))


def equal(a, b):
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_second_call_reads_the_cached_curves(task, calls):
    first = cached_curves(task, STEPS, 0)
    again = cached_curves(BatchedTask(VARIANTS, test_samples=50), STEPS, 0)
    assert equal(first, again) and first.own.shape == (2, 3)
    assert count(calls) == len(entries()) == 1


def test_key_has_everything_that_determines_curves(task, calls, monkeypatch):
    cached_curves(task, STEPS, 0)
    cached_curves(task, [0, 2], 0)
    cached_curves(task, STEPS, 1)
    cached_curves(BatchedTask(VARIANTS, test_samples=60), STEPS, 0)
    cached_curves(BatchedTask(VARIANTS, test_samples=50, dtype=torch.float64), STEPS, 0)
    cached_curves(BatchedTask(VARIANTS[::-1], test_samples=50), STEPS, 0)
    clipped = [replace(variant, clip=0.1) for variant in VARIANTS]
    cached_curves(BatchedTask(clipped, test_samples=50), STEPS, 0)
    other_data = BatchedTask(VARIANTS, test_samples=50)
    other_data._train_x = other_data._train_x + 1
    cached_curves(other_data, STEPS, 0)
    monkeypatch.setattr(torch, "__version__", "0")
    cached_curves(task, STEPS, 0)
    monkeypatch.setattr(curve_cache, "_code", lambda: "other sources")
    cached_curves(task, STEPS, 0)
    assert count(calls) == len(entries()) == 10


@pytest.mark.parametrize("damage", [lambda sound: sound[:-5], lambda sound: b"something"])
def test_damaged_entry_is_recomputed_with_a_warning(task, calls, damage):
    first = cached_curves(task, STEPS, 0)
    (entry,) = entries()
    sound = entry.read_bytes()
    entry.write_bytes(damage(sound))
    with pytest.warns(RuntimeWarning, match=f"{entry.name} is damaged"):
        again = cached_curves(task, STEPS, 0)
    assert equal(first, again) and entry.read_bytes() == sound and count(calls) == 2


def test_only_one_of_several_processes_computes(task, calls, monkeypatch):
    computed = curve_cache.adam_curves

    def slow(*arguments):
        time.sleep(0.3)
        return computed(*arguments)

    monkeypatch.setattr(curve_cache, "adam_curves", slow)
    workers = [
        multiprocessing.get_context("fork").Process(target=cached_curves, args=(task, STEPS, 0))
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert count(calls) == len(entries()) == 1


def test_unusable_folder_gives_a_warning_and_computed_curves(task, calls, monkeypatch):
    monkeypatch.setenv("AUTOTRAIN_LR_CACHE", str(calls))  # a file
    with pytest.warns(RuntimeWarning, match="set AUTOTRAIN_LR_CACHE to another folder"):
        curves = cached_curves(task, STEPS, 0)
    assert torch.isfinite(curves.own).all() and count(calls) == 1


def test_default_folder_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("AUTOTRAIN_LR_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert curve_cache.cache_folder() == tmp_path / "autotrain-lr" / "curves"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert curve_cache.cache_folder() == tmp_path / ".cache" / "autotrain-lr" / "curves"
