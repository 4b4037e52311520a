"""One method against each of the others."""

import math

import pytest

from evaluate.errors import InputError
from evaluate.outcomes import Outcome
from evaluate.score.versus import against_each
from evaluate.show.board import comparisons

OURS, THEIRS = "a" * 64, "c" * 64


@pytest.fixture
def pair(make_result):
    """Return a function that makes the runs of a repeat on a pair: baseline, ours and a peer's.

    The baseline takes 10 s and 100 steps.
    """

    def make(name, ours, theirs, repeat=0, **peer):
        common = {"pair": name, "repeat": repeat}
        return [
            make_result(role="baseline", seconds=10.0, steps=100, **common),
            make_result(seconds=ours, steps=50, **common),
            make_result(
                submission="peer", submission_sha256=THEIRS, seconds=theirs, steps=25,
                given={"horizon": 100}, **common | peer,
            ),
        ]  # fmt: skip

    return make


def test_ratios_compare_the_same_repeat(pair):
    group = [*pair("one", 2.0, 4.0), *pair("one", 4.0, 4.0, repeat=1), *pair("two", 1.0, 8.0)]
    baseline, peer = against_each(group, OURS)
    assert (baseline.rival, peer.rival) == ("adam (baseline)", "peer")
    assert peer.costs["seconds"] == {"one": (0.5, 1.0), "two": (0.125,)}
    assert peer.costs["steps"] == {"one": (2.0, 2.0), "two": (2.0,)}
    assert baseline.costs["seconds"] == {"one": (0.2, 0.4), "two": (0.1,)}
    assert not peer.is_bound


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.STOPPED])
def test_missed_rival_counts_its_time_and_our_miss_infinity(pair, make_result, outcome):
    missed = {"outcome": outcome, "limit_seconds": 50.0}
    _, peer = against_each(pair("one", 5.0, 20.0, **missed), OURS)
    assert peer.is_bound and peer.costs["seconds"] == {"one": (0.25,)}
    assert peer.costs["steps"] == {"one": (2.0,)}
    both = pair("one", 5.0, 20.0, **missed)
    both[1] = make_result(pair="one", outcome=Outcome.STOPPED)
    (table,) = comparisons(both)
    assert table.rows[1][1] == ">= 0.00 / 0.00"


def test_rival_that_failed_before_its_clock_has_bound_0(pair):
    failed = {"outcome": Outcome.ERROR}
    group = pair("one", 5.0, 0.0, **failed)
    _, peer = against_each(group, OURS)
    assert peer.is_bound and peer.costs["seconds"] == {"one": (math.inf,)}
    (table,) = comparisons(group)
    assert table.rows[1][1] == ">= 0.00 / 0.50"


def test_repeat_missed_by_the_baseline_counts_for_none(pair, make_result):
    group = pair("one", 2.0, 4.0)
    group[0] = make_result(role="baseline", pair="one", outcome=Outcome.TIMEOUT)
    _, peer = against_each([*group, *pair("one", 1.0, 4.0, repeat=1)], OURS)
    assert peer.costs["seconds"] == {"one": (0.25,)}


def test_closest_rival_comes_first(pair, make_result):
    group = [*pair("one", 2.0, 4.0), *pair("two", 2.0, 4.0)]
    closer = [
        make_result(pair=pair, submission="closer", submission_sha256="d" * 64, seconds=1.0)
        for pair in ("one", "two")
    ]
    part = make_result(pair="one", submission="part", submission_sha256="e" * 64, seconds=0.1)
    (table,) = comparisons([*group, *closer, part], ["train"])
    assert [row[0] for row in table.rows] == ["adam (baseline)", "closer", "peer", "part"]
    assert table.rows[2] == ["peer", "2.00 / 0.50", "-", "2.00 / 0.50", "2.00 / 0.50"]
    assert table.rows[3][1:] == ["-", "-", "0.05 / 0.04", "-"]


def test_mean_is_harmonic_and_has_an_interval(pair):
    group = [
        *pair("one", 2.0, 4.0), *pair("one", 2.0, 2.0, repeat=1),
        *pair("two", 1.0, 4.0), *pair("two", 1.0, 4.0, repeat=1),
    ]  # fmt: skip
    (table,) = comparisons(group)
    # costs: median of 1/2 and 1; 1/4
    assert table.rows[1][1:3] == ["2.00 / 0.50", "1.60 to 2.67"]


def test_only_entered_files_get_a_table(pair):
    group = pair("one", 2.0, 4.0)
    assert [table.header[1] for table in comparisons(group)] == ["Times train"]
    assert [table.header[1] for table in comparisons(group, ["peer"])] == ["Times peer"]
    with pytest.raises(InputError, match="--against other: no such method; name one of"):
        comparisons(group, ["other"])
