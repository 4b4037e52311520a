"""Tables match the results, and a stale table in a document is detected."""

import dataclasses

import pytest

from evaluate.errors import InputError
from evaluate.outcomes import Outcome
from evaluate.show import board
from evaluate.show.board import contents
from evaluate.show.table import is_stale, markdown, rich_table, three_digits, update_document


@pytest.fixture
def results(make_result):
    """Return two pairs: one solved at twice the speed in a quarter of the steps, one missed."""
    return [
        make_result(role="baseline", pair="one", seconds=10.0, steps=1000),
        make_result(pair="one", seconds=5.0, steps=250),
        make_result(role="baseline", pair="two", seconds=20.0, steps=2000),
        make_result(pair="two", outcome=Outcome.TIMEOUT, limit_seconds=100.0),
    ]


def test_no_submission_passes_for_the_baseline(results):
    named = dataclasses.replace(results[1], submission="adam (baseline)")
    (content,) = contents([results[0], named])
    baseline, row = (row[0] for row in content.rows)
    assert baseline == "adam (baseline)" and row == f"{baseline} ({named.submission_sha256[:7]})"


def test_content_of_the_table(results):
    (content,) = contents(results)
    assert content.header == [
        "Method", "Score", "95 % interval", "Misses at the limit", "Solved", "Profile",
        "one", "two",
    ]  # fmt: skip
    assert content.rows == [
        ["adam (baseline)", "1", "", "", "2 of 2", "", "10 s / 1,000 steps", "20 s / 2,000 steps"],
        # 1 / mean(1/2, 100/20) in time, 1 / mean(1/4, 100/20) in steps; best on one of two pairs
        ["train", "0.00 / 0.00", "-", "0.36 / 0.38", "1 of 2", "0.50", "2.00 / 4.00", "timeout"],
    ]
    for fact in ("n = 1", "a cpu, 2 cores", "torch 2.13.0", "commit fffffff", "2026-01-02"):
        assert fact in content.caption


def test_caption_names_all_days_and_commits(make_result):
    runs = [
        make_result(role="baseline", git={"commit": "a" * 40, "dirty": True}),
        make_result(git={"commit": "b" * 40, "dirty": False}, started_at="2026-01-05T00:00:00Z"),
        make_result(git={"commit": None, "dirty": None}, repeat=1),
    ]
    (content,) = contents(runs)
    told = "2026-01-02 to 2026-01-05, commits aaaaaaa with changes, bbbbbbb."
    assert content.caption.endswith(told)
    assert contents(runs[:1])[0].caption.endswith("2026-01-02, commit aaaaaaa with changes.")


@pytest.mark.parametrize(
    "value, text",
    [(0.376, "0.376"), (9.0, "9"), (33.61, "33.6"), (999.4, "999"), (999.6, "1,000"),
     (1191.6, "1,190"), (12_345.0, "12,300")],
)  # fmt: skip
def test_numbers_have_three_digits_and_no_powers_of_ten(value, text):
    assert three_digits(value) == text


def test_repeats_add_an_interval_and_counts(results, make_result):
    again = [
        make_result(role="baseline", pair="one", seconds=10.0, steps=1000, repeat=1),
        make_result(pair="one", outcome=Outcome.STOPPED, repeat=1),
        make_result(role="baseline", pair="one", seconds=10.0, steps=1000, repeat=2),
        make_result(pair="one", seconds=4.0, steps=200, repeat=2),
    ]
    one_pair = [result for result in results if result.pair == "one"]
    (content,) = contents([*one_pair, *again])
    assert content.rows[1][2] == "0.00 to 2.50"
    assert content.rows[1][-1] == "2.00 / 4.00 (2/3)"


def test_method_with_fewer_repeats_is_named(results, make_result):
    once = make_result(role="peer", submission="sgd", submission_sha256="5", pair="one")
    again = [
        make_result(role="baseline", pair="one", repeat=1),
        make_result(pair="one", repeat=1),
    ]
    (content,) = contents([*results, once])
    assert "n = 1;" in content.caption
    (content,) = contents([*results, once, *again])
    assert "n = 1 to 2 (sgd 1);" in content.caption


def test_repeats_missed_by_the_baseline_are_excluded_and_reported(make_result):
    def repeats(outcomes):
        for repeat, outcome in enumerate(outcomes):
            yield make_result(role="baseline", repeat=repeat, seconds=10.0, outcome=outcome)
            yield make_result(repeat=repeat)

    (content,) = contents(list(repeats([Outcome.REACHED, Outcome.TIMEOUT, Outcome.REACHED])))
    assert content.rows[0][-3:] == ["1 of 1", "", "10 s / 2 steps (2/3)"]
    assert "n = 2;" in content.caption
    (content,) = contents(list(repeats([Outcome.REACHED, Outcome.TIMEOUT])))
    assert content.rows[0][-3:] == ["0 of 1", "", "10 s / 2 steps (1/2)"]


def test_partial_means_are_not_shown(results):
    (content,) = contents(results[:3])
    assert content.rows[1] == ["train", "-", "-", "-", "1 of 2", "-", "2.00 / 4.00", "-"]


def test_missed_baseline_gives_no_speed_ups(make_result):
    missed = make_result(role="baseline", outcome=Outcome.TIMEOUT)
    (content,) = contents([missed, make_result()])
    assert [row[-1] for row in content.rows] == ["timeout", "-"]


def test_best_come_first_and_incomplete_last(results, make_result):
    def method(name, digest, seconds, pairs):
        return [
            make_result(pair=pair, submission=name, submission_sha256=digest, seconds=seconds)
            for pair in pairs
        ]

    fast = method("fast", "f" * 64, 2.0, ["one", "two"])
    slow = method("slow", "5" * 64, 8.0, ["one", "two"])
    part = method("part", "e" * 64, 1.0, ["one"])
    (content,) = contents([*part, *results, *slow, *fast])
    assert [row[0] for row in content.rows[1:]] == ["fast", "slow", "train", "part"]


def test_many_pairs_get_one_table_per_measure(make_result):
    names = [f"pair_{i}" for i in range(6)]
    (content,) = contents(
        [
            one
            for i, pair in enumerate(names, 1)
            for one in (
                make_result(role="baseline", pair=pair, seconds=10.0 * i, steps=100 * i),
                make_result(pair=pair, seconds=5.0 * i, steps=25 * i),
            )
        ]
    )
    assert content.header[-1] == "Profile"
    assert content.rows[1][:2] == ["train", "2.00 / 4.00"]
    seconds, steps = content.details
    assert seconds.header == steps.header == ["Method", *names]
    assert seconds.rows[0][:3] == ["adam (baseline)", "10 s", "20 s"]
    assert seconds.rows[1] == ["train", *["2.00"] * 6] and steps.rows[1] == ["train", *["4.00"] * 6]
    text = markdown(content)
    assert text.count("<details>\n<summary>") == text.count("\n\n</details>") == 2
    assert "</summary>\n\n| Method | pair_0 |" in text  # GitHub's Markdown needs the empty line


def test_untimed_results_show_only_steps(results, make_result):
    def untimed(result):
        return dataclasses.replace(result, timed=False, limit_steps=5 * 2000)

    (content,) = contents(list(map(untimed, results)))
    assert content.title == "Suite demo in steps, not timed"
    assert content.rows[0][-2:] == ["1,000 steps", "2,000 steps"]
    assert content.rows[1] == ["train", "0.00", "-", "0.38", "1 of 2", "0.50", "4.00", "timeout"]
    assert len(contents([*results, *map(untimed, results)])) == 2  # never with timed ones


def test_tuning_runs_are_no_method(results, make_result):
    tuning = make_result(pair="one", role="tuning", submission="point", submission_sha256="d" * 64)
    assert contents([*results, tuning]) == contents(results)


def test_hardware_and_suites_never_mix(results, make_result):
    other = make_result(hardware=make_result().hardware | {"gpu": "a gpu"})
    assert len(contents([*results, other, make_result(suite="smoke")])) == 3


def test_results_on_an_old_variant_are_left_out(results, make_result):
    stale = make_result(pair="one", variant_digest="former", seconds=0.1)
    assert contents([stale, *results]) == contents(results)


def test_rerun_variant_is_the_current_one(results, make_result):
    base = make_result(role="baseline", pair="one", variant_digest="former", seconds=10.0)
    former = make_result(pair="one", variant_digest="former", outcome=Outcome.ERROR)
    again = make_result(pair="one", variant_digest="former", seconds=2.0)
    (content,) = contents([base, former, *results, again])
    assert content.rows[1][-2].startswith("5.00 / ")


def test_caption_is_dated_by_the_newest_run(results, make_result):
    failed = make_result(pair="one", outcome=Outcome.ERROR)
    again = make_result(pair="one", started_at="2026-03-04T00:00:00+00:00")
    (content,) = contents([failed, *results[2:], results[0], again])
    assert "2026-03-04" in content.caption


def test_names_that_collide_get_a_digest(results, make_result):
    edited = make_result(pair="one", submission_sha256="c" * 64)
    (content,) = contents([*results, edited])
    assert [row[0] for row in content.rows[1:]] == ["train (aaaaaaa)", "train (ccccccc)"]


def test_both_renderings_hold_every_cell(results):
    (content,) = contents(results)
    lines = markdown(content).splitlines()
    assert lines[2].startswith("| Method | Score | 95 % interval |")
    assert lines[3] == "| :--- | " + " | ".join(["---:"] * 7) + " |"
    for line, row in zip(lines[4:6], content.rows, strict=True):
        assert line == "| " + " | ".join(row) + " |"
    assert rich_table(content).row_count == len(content.rows)


DOCUMENT = """# Title

<!-- demo: begin -->

old

<!-- demo: end -->

<!-- gpu: begin -->
keep
<!-- gpu: end -->
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
    with pytest.raises(InputError, match="README.md: put the lines '<!-- demo: begin -->' and"):
        update_document(path, "demo", "text")
    assert path.read_text() == "no markers"


def test_caption_names_all_versions(make_result):
    versions = make_result().versions
    group = [make_result(versions={**versions, "torch": torch}) for torch in ("2.4", "2.13", "2.4")]
    assert board._versions(group, "torch") == "2.4 and 2.13"
    assert board._versions(group, "python") == "3.11.7"
