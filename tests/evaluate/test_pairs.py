"""Pairs that can't be scored are refused before anything runs, with their name and the fix."""

import pytest

from evaluate import pairs
from evaluate.errors import InputError
from evaluate.pairs import Pair, check
from tasks import DataError, Variant, VariantError, build_task

PAIR = Pair("demo", "bowl", Variant("mlp", "digits", target=0.1))


@pytest.mark.parametrize("is_other", [False, True])
def test_sound_pair_passes_with_a_notice_if_its_text_differs(
    quadratic, monkeypatch, capsys, is_other
):
    monkeypatch.setattr(pairs, "has_other_text", lambda name, variant: is_other)
    check(PAIR, lambda variant: quadratic())
    assert ("notice: pair bowl: its text is not the one" in capsys.readouterr().err) == is_other


@pytest.mark.parametrize(
    "options, message",
    [
        ({"scale": float("nan")}, "pair bowl: its test loss is nan from the start; reduce"),
        ({"target": 5.0}, "pair bowl: its target 0.1 is reached before any training; lower"),
        ({"batches": 0}, "pair bowl: its default batch size 4 yields no batch; make"),
    ],
)
def test_unsound_pairs_are_named(quadratic, options, message):
    with pytest.raises(InputError, match=message):
        check(PAIR, lambda variant: quadratic(**options))


def test_nan_training_loss_is_named(quadratic):
    class Broken(quadratic):
        def batch_loss(self, batch):
            return float("nan")

    with pytest.raises(InputError, match="pair bowl: its training loss is nan from the start"):
        check(PAIR, lambda variant: Broken())


def test_missing_data_and_missing_targets_are_named(quadratic):
    def no_data(variant):
        raise DataError("fashion: no files")

    with pytest.raises(InputError, match="pair bowl: cannot be built: fashion: no files"):
        check(PAIR, no_data)
    with pytest.raises(InputError, match="pair endless: has no target"):
        check(Pair("demo", "endless", Variant("mlp", "digits")), lambda variant: quadratic())


@pytest.mark.parametrize("kind", [VariantError, KeyError])
def test_unknown_suite_is_named(monkeypatch, kind):
    def unknown(name):
        raise kind("must be one of demo")

    monkeypatch.setattr(pairs, "suite", unknown)
    with pytest.raises(InputError, match="^suite 'x': must be one of demo$"):
        pairs.load_suite("x")


def test_smoke_suite_is_sound():
    loaded = pairs.load_suite("smoke")
    assert len({pair.name for pair in loaded}) == len(loaded) >= 2
    for pair in loaded:
        check(pair, build_task)
