"""Tables say what the results say, and a document's table is known to be stale when it is."""

import pytest

from evaluate.errors import InputError
from evaluate.outcomes import Outcome
from evaluate.table import contents, is_stale, markdown, rich_table, update_document


@pytest.fixture
def results(make_result):
    """Two pairs: one solved at twice the speed in a quarter of the steps, one missed."""
    return [
        make_result(role="baseline", pair="one", seconds=10.0, steps=1000),
        make_result(pair="one", seconds=5.0, steps=250),
        make_result(role="baseline", pair="two", seconds=20.0, steps=2000),
        make_result(pair="two", outcome=Outcome.TIMEOUT, limit_seconds=100.0),
    ]


def test_content(results):
    (content,) = contents(results)
    assert content.header == ["Pair", "baseline (s / steps)", "train"]
    assert content.pairs == [
        ["one", "10 / 1,000", "2.00 / 4.00"],
        ["two", "20 / 2,000", "timeout"],
    ]
    assert content.means == [
        ["harmonic mean (a miss is 0)", "", "0.00 / 0.00"],
        # 1 / mean(1/2, 100/20) in time, 1 / mean(1/4, 100/20) in steps
        ["harmonic mean (a miss at the limit)", "", "0.36 / 0.38"],
        ["solved", "", "1 of 2"],
    ]
    for fact in ("n = 1", "a cpu, 2 cores", "torch 2.13.0", "commit fffffff", "2026-01-02"):
        assert fact in content.caption


def test_many_submissions_get_a_row_each(results, make_result):
    others = [
        make_result(pair=pair, submission=f"peer{i}", submission_sha256=str(i) * 64, seconds=2.0)
        for i in range(4)
        for pair in ("one", "two")
    ]
    (content,) = contents([*results, *others])
    means = ["harmonic mean (a miss is 0)", "harmonic mean (a miss at the limit)", "solved"]
    assert content.header == ["Submission", "one", "two", *means] and content.means == []
    assert content.pairs[:2] == [
        ["baseline (s / steps)", "10 / 1,000", "20 / 2,000", "", "", ""],
        ["train", "2.00 / 4.00", "timeout", "0.00 / 0.00", "0.36 / 0.38", "1 of 2"],
    ]
    assert [row[0] for row in content.pairs[2:]] == ["peer0", "peer1", "peer2", "peer3"]
    assert markdown(content).splitlines()[4] == "| " + " | ".join(content.pairs[0]) + " |"
    assert rich_table(content).row_count == 6


def test_repeats_bring_an_interval_and_counts(results, make_result):
    again = [
        make_result(role="baseline", pair="one", seconds=10.0, steps=1000, repeat=1),
        make_result(pair="one", outcome=Outcome.STOPPED, repeat=1),
        make_result(role="baseline", pair="one", seconds=10.0, steps=1000, repeat=2),
        make_result(pair="one", seconds=4.0, steps=200, repeat=2),
    ]
    one_pair = [result for result in results if result.pair == "one"]
    (content,) = contents([*one_pair, *again])
    assert content.pairs[0][2] == "2.00 / 4.00 2/3 reached, 1/3 stopped"
    assert content.means[2][0].startswith("95 % interval")
    assert content.means[2][2] == "0.00 to 2.50"


def test_a_mean_over_part_of_the_pairs_is_not_shown(results):
    (content,) = contents(results[:3])
    assert content.pairs[1][2] == "-"
    assert content.means == [["solved", "", "-"]]


def test_a_baseline_that_missed_gives_no_speed_ups(make_result):
    missed = make_result(role="baseline", outcome=Outcome.TIMEOUT)
    (content,) = contents([missed, make_result()])
    assert content.pairs == [["digits", "timeout", "-"]]


def test_hardware_and_suites_never_mix(results, make_result):
    other = make_result(hardware=make_result().hardware | {"gpu": "a gpu"})
    assert len(contents([*results, other, make_result(suite="smoke")])) == 3


def test_results_on_a_former_variant_are_left_out(results, make_result):
    stale = make_result(pair="one", variant_digest="former", seconds=0.1)
    assert contents([stale, *results]) == contents(results)


def test_names_that_collide_get_a_digest(results, make_result):
    edited = make_result(pair="one", submission_sha256="c" * 64)
    (content,) = contents([*results, edited])
    assert content.header[2:] == ["train (aaaaaaa)", "train (ccccccc)"]


def test_both_renderings_hold_every_cell(results):
    (content,) = contents(results)
    lines = markdown(content).splitlines()
    assert lines[2] == "| Pair | baseline (s / steps) | train |"
    assert lines[3] == "| :--- | ---: | ---: |"
    assert lines[4] == "| one | 10 / 1,000 | 2.00 / 4.00 |"
    assert rich_table(content).row_count == len(content.pairs) + len(content.means)


DOCUMENT = """# Title

<!-- results: demo -->
old
<!-- /results -->

<!-- results: gpu -->
keep
<!-- /results -->
"""


def test_document_is_stale_until_updated(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(DOCUMENT)
    assert is_stale(path, "demo", "a \\1 table")
    update_document(path, "demo", "a \\1 table")
    assert path.read_text() == DOCUMENT.replace("old", "a \\1 table")
    assert not is_stale(path, "demo", "a \\1 table")
    assert is_stale(path, "demo", "another table")


def test_missing_markers_and_documents_are_named(tmp_path):
    path = tmp_path / "README.md"
    with pytest.raises(InputError, match="README.md: No such file"):
        update_document(path, "demo", "text")
    path.write_text("no markers")
    with pytest.raises(InputError, match="README.md: has 0 blocks .* '<!-- results: demo -->'"):
        update_document(path, "demo", "text")
    assert path.read_text() == "no markers"
