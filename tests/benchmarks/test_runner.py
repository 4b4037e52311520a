"""The command line of benchmarks: jobs become rows, and rows a result."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as command
from benchmarks.origin import settled, stamp
from benchmarks.results import append, read, show
from benchmarks.runner import run
from benchmarks.settings import Settings
from evaluate import provenance
from writing.statistics import grouped


@dataclass(frozen=True, kw_only=True)
class Squares(Settings):
    most: int = 3


def squared(number):
    return [{"number": number, "square": number**2}]


@pytest.fixture
def squares(tmp_path):
    """Return a benchmark of one row per job, with paths for its result and page."""
    return SimpleNamespace(
        NAME="squares",
        PAGE=str(tmp_path / "page.md"),
        RESULT=tmp_path / "squares.json",
        Settings=Squares,
        jobs=lambda settings: list(range(settings.most)),
        measure=squared,
        table=lambda result: f"sum {sum(row['square'] for row in result['rows'])}",
        key=lambda job: job["number"] if isinstance(job, dict) else job,
    )


@pytest.mark.parametrize("processes", [1, 2])
def test_rows_come_in_the_order_of_jobs_with_their_origin(squares, processes, capsys):
    run(squares, Squares(processes=processes))
    result = read(squares.RESULT)
    assert [row["square"] for row in result["rows"]] == [0, 1, 4]
    assert result["seed"] == 0 and result["git"].keys() == {"commit", "dirty"}
    assert "sum 5" in capsys.readouterr().out


def test_file_of_lines_only_gains_missing_rows(squares, tmp_path):
    out = tmp_path / "squares.jsonl"
    append(out, {"number": 1, "square": -1})
    before = out.read_text()
    run(squares, Squares(out=out, processes=1))
    assert out.read_text().startswith(before)
    assert [row["number"] for row in read(out)["rows"]] == [1, 0, 2]
    out.write_text(before[:-2])
    with pytest.raises(ValueError, match="squares.jsonl: the last line is not whole; delete it"):
        run(squares, Squares(out=out))


def test_interrupted_run_resumes(squares):
    """A run resumes with another number of processes, but not with other settings."""
    seen, broken = [], [2]
    squares.ALONE = True  # a local function can't be pickled for another process

    def measure(number):
        if number in broken:
            raise KeyboardInterrupt
        return seen.append(number) or squared(number)

    squares.measure = measure
    for most in (4, 3):
        with pytest.raises(KeyboardInterrupt):
            run(squares, Squares(processes=1, most=most))
    broken.clear()
    run(squares, Squares(processes=2))
    assert seen == [0, 1, 0, 1, 2]
    assert [row["square"] for row in read(squares.RESULT)["rows"]] == [0, 1, 4]
    assert list(squares.RESULT.parent.iterdir()) == [squares.RESULT]


def test_table_is_written_into_its_block(squares):
    run(squares, Squares(processes=1))
    page = Path(squares.PAGE)
    page.write_text("a\n<!-- squares: begin -->\n<!-- squares: end -->\n")
    show(squares)
    assert page.read_text() == "a\n<!-- squares: begin -->\n\nsum 5\n\n<!-- squares: end -->\n"
    page.write_text("a\n")
    with pytest.raises(ValueError, match="page.md: put the lines '<!-- squares: begin -->'"):
        show(squares)


def test_repository_changed_during_the_run_is_reported(monkeypatch):
    origin = stamp("cpu", 0)
    assert settled(origin) == origin
    monkeypatch.setattr(provenance, "git", lambda: {"commit": "other", "dirty": False})
    assert settled(origin)["git"] == {**origin["git"], "dirty": True}


def test_rows_are_grouped_in_order_of_appearance():
    rows = [{"a": 2, "b": 1}, {"a": 1, "b": 1}, {"a": 2, "b": 1}]
    assert list(grouped(rows, "a")) == [2, 1] and len(grouped(rows, "a", "b")[2, 1]) == 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["run", "nothing"], "no benchmark 'nothing'; choose one of ablation"),
        (["table", "nothing"], "no benchmark 'nothing'"),
        ([], "python -m benchmarks run NAME"),
    ],
)
def test_bad_commands_are_reported(arguments, message):
    with pytest.raises(SystemExit, match=message):
        command.main(arguments)


def test_benchmark_has_its_own_settings(squares, monkeypatch):
    monkeypatch.setattr(command, "NAMES", ("squares",))
    monkeypatch.setattr(command, "benchmark", lambda name: squares)
    command.main(["run", "squares", "--most", "5", "--processes", "1"])
    assert len(json.loads(squares.RESULT.read_text())["rows"]) == 5
