"""The command line, end to end: real processes on a small real task."""

import json

import pytest

from evaluate import pairs
from evaluate.cli import main
from evaluate.run.sharding import own_device, own_share
from evaluate.sandbox import bounded
from evaluate.score.results import save
from tasks import Variant, VariantError
from tasks.locks import locked

TINY = Variant("mlp", "digits", arch={"width": 40}, batch_size=64, target=1.5)

FASTER = """
learning_rates = []

def train(task):
    while True:
        for batch in task.train_iterator(batch_size=task.default_batch_size, shuffle=True):
            _, gradients = task.batch_loss_and_gradient(batch)
            learning_rates.append((len(learning_rates), [0.5] * len(gradients)))
            for weight, gradient in zip(task.state, gradients):
                weight.sub_(0.5 * gradient)
        task.test(task.state)
"""
#: Fails until an environment variable is set, since it sees no files but its own.
FRAGILE = """
import os

def train(task):
    if "TORCH_MENDED" not in os.environ:
        raise RuntimeError("not yet")
"""


@pytest.fixture(autouse=True)
def tiny_suite(monkeypatch):
    def suite(name):
        if name != "demo":
            raise VariantError(f"must be demo, not {name!r}")
        return {"tiny": TINY}

    monkeypatch.setattr(pairs, "suite", suite)


def results(folder):
    found = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return {fields["submission"]: fields for fields in found}


def test_evaluation_resumes_without_repetition(tmp_path, submission_file, capsys, monkeypatch):
    faster, fragile = submission_file(FASTER, "faster.py"), submission_file(FRAGILE, "fragile.py")
    out = tmp_path / "out"
    command = [str(faster), str(fragile), "--out", str(out)]
    assert main(command) == 1
    printed = capsys.readouterr()
    assert (
        "error: 1 run(s) failed, the first: fragile on tiny: RuntimeError: not yet" in printed.err
    )
    assert len(list(out.glob("*.json"))) == 3
    first = results(out)
    assert all(str(tmp_path) not in path.read_text() for path in out.glob("*.json"))
    assert first["faster"]["command"][3:] == ["faster.py", "fragile.py", "--out", "out"]
    assert [first[name]["outcome"] for name in ("adam", "faster", "fragile")] == [
        "reached",
        "reached",
        "error",
    ]
    fields = first["faster"]
    assert fields["verified_test_losses"][0] < TINY.target
    assert fields["variant"] == TINY.to_dict() and fields["variant_digest"] == TINY.digest
    assert fields["calls"]["batch_loss_and_gradient"] == fields["steps"] > 0
    assert first["adam"]["steps"] > fields["steps"]
    assert len(fields["learning_rates"][0][1]) == len(fields["tensor_shapes"]) > 0
    plots = {"loss_by_seconds.png", "loss_by_steps.png", "learning_rates_faster.png"}
    assert plots | {"table.md"} <= {path.name for path in out.iterdir()}

    monkeypatch.setenv("TORCH_MENDED", "1")
    assert main(command) == 0
    assert len(list(out.glob("*.json"))) == 4  # only the failed run was repeated
    assert results(out)["adam"] == first["adam"]
    assert "1 of 1" in capsys.readouterr().out
    check_table(out, tmp_path / "README.md", capsys)


def check_table(out, document, capsys):
    assert main(["table", str(out)]) == 0
    text = capsys.readouterr().out
    tables = (out / "table.md").read_text()
    assert tables.startswith(text.rstrip()) and "| tiny |" in text
    assert main(["table", str(out), "--against", "faster"]) == 0
    versus = capsys.readouterr().out
    assert versus.startswith("**faster against each other") and versus.rstrip() in tables
    document.write_text(f"<!-- {out.name}: begin -->\nold\n<!-- {out.name}: end -->\n")
    arguments = ["table", str(out), "--document", str(document)]
    assert main([*arguments, "--check"]) == 1
    assert "table out is stale; run python -m evaluate table" in capsys.readouterr().err
    assert "old" in document.read_text()
    assert main(arguments) == 0 and text in document.read_text()
    assert main([*arguments, "--check"]) == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "no submission given"),
        (["gone.py"], "gone.py: No such file"),
        (["{train}", "--suite", "nope"], "suite 'nope': must be demo, not 'nope'"),
        (["{train}", "--repeats", "0"], "--repeats 0: must be at least 1"),
        (["{train}", "--threads", "100000"], "--threads 100000: must be at most 256"),
        (["{train}", "--first-repeat", "-1"], "--first-repeat -1: must not be negative"),
        (["{train}", "--limit", "-1"], "--limit -1.0: must be a positive"),
        (["{train}", "--limit", "inf"], "--limit inf: must be a positive"),
        (["{train}", "--memory", "inf"], "--memory inf: must be at least"),
        (["{train}", "--memory", "0.1"], "--memory 0.1: must be at least 1.0 (GiB)"),
        (
            ["{train}", "--jobs", "2"],
            "--jobs 2: runs at the same time disturb the clock; add --steps",
        ),
        (["--peers", "lion"], "--peers lion: no such peer; name some of all, adam_1e3_averaged"),
        (["{train}", "--device", "abacus"], "--device abacus: "),
        (["{train}", "--device", "meta"], "--device meta: holds no task; use cpu"),
    ],
)
def test_bad_input_gives_one_line_and_leaves_nothing(
    tmp_path, submission_file, capsys, arguments, message
):
    train = submission_file("def train(task):\n    pass\n")
    out = tmp_path / "out"
    filled = [argument.format(train=train) for argument in arguments]
    assert main([*filled, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}") and error.count("\n") == 1
    assert not out.exists()


def test_folder_locked_by_another_evaluation_is_refused(tmp_path, submission_file, capsys):
    train = submission_file("def train(task):\n    raise SystemExit('was run')\n")
    out = tmp_path / "out"
    out.mkdir()
    with locked(out / ".lock"):
        assert main([str(train), "--out", str(out)]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"error: --out {out}: another evaluation writes there; let it end")
    assert list(out.glob("*.json")) == []


def test_reading_a_long_file_does_not_take_the_judges_memory(
    tmp_path, submission_file, capsys, monkeypatch
):
    monkeypatch.setattr(bounded, "MEMORY", 2**26)
    long = submission_file("def train(task):\n    pass\n\nx = [" + "1," * 2**22 + "]\n")
    assert main([str(long), "--out", str(tmp_path / "out")]) == 2
    assert "too long" in capsys.readouterr().err


def test_missing_sandbox_is_reported(tmp_path, submission_file, capsys, without_namespaces):
    train = submission_file("def train(task):\n    pass\n")
    with locked(tmp_path / ".lock"):  # detected before any run
        assert main([str(train), "--out", str(tmp_path)]) == 2
    assert "note: this system permits no user namespaces" in capsys.readouterr().err


ODD = {
    "message": "half \ud800, steers \x1b[2J\x1b]0;judge\x07, turns \u202e",
    "submission": "<i>|$x^{|[red]\x1b[2J\ud800",
    "learning_rates": [[10**400, [1e308, float("nan")]], [1, [0.1, "x"]]],
}


@pytest.mark.parametrize("field", ODD)
def test_one_odd_result_does_not_stop_the_report(tmp_path, make_result, capsys, field):
    folder, out = tmp_path / "results", tmp_path / "report"
    save(folder, make_result(role="baseline"))
    rates = [[0, [1e-3]], [1, [2e-3]]]
    save(folder, make_result(submission="fine", learning_rates=rates))
    odd = make_result(submission_sha256="c" * 64, outcome="error", started_at="2026-01-03")
    path = save(folder, odd)
    path.write_text(json.dumps({**json.loads(path.read_text()), field: ODD[field]}))
    assert main(["report", str(folder), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    written = [(out / name).read_text() for name in ("table.md", "report.html")]
    assert not {"\x1b", "\x07", "\u202e", "\ud800"} & set("".join([*written, *printed]))
    assert "fine" in printed.out and (out / "learning_rates_fine.png").exists()
    assert "could not be drawn" not in printed.err


@pytest.mark.parametrize(
    "found, message",
    [
        ({}, "suite 'demo': none of its pairs can be run here"),
        (
            {"huge": Variant("mlp", "digits", init_scale=1e38, target=0.5)},
            "pair huge: its test loss is nan from the start; reduce",
        ),
    ],
)
def test_suites_that_cannot_be_run_are_refused(
    tmp_path, submission_file, capsys, monkeypatch, found, message
):
    monkeypatch.setattr(pairs, "suite", lambda name: found)
    train = submission_file("def train(task):\n    pass\n")
    assert main([str(train), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["/proc/self", "{train}/out"])
def test_unwritable_folder_is_detected_first(submission_file, capsys, out):
    train = submission_file("def train(task):\n    raise SystemExit('was run')\n")
    out = out.format(train=train)
    assert main([str(train), "--out", out]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and out in error and "was run" not in error


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["table", "{folder}"], "holds no results"),
        (["pack", "{folder}", "{folder}/kept.txt"], "kept.txt: name a file NAME.jsonl"),
    ],
)
def test_failing_command_says_why(tmp_path, capsys, arguments, message):
    assert main([argument.format(folder=tmp_path) for argument in arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["table", "--help"]])
def test_help_is_printed(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 0
    assert "python -m evaluate" in capsys.readouterr().out


def test_launcher_processes_are_not_timed(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["--peers", "sgd", "--out", str(tmp_path / "out")]) == 2
    assert "2 processes by torchrun would disturb" in capsys.readouterr().err


def test_failed_run_does_not_end_other_launcher_processes(
    tmp_path, submission_file, capsys, monkeypatch
):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    fragile, out = submission_file(FRAGILE, "fragile.py"), tmp_path / "out"
    assert main([str(fragile), "--steps-only", "--out", str(out)]) == 0
    assert "error: 1 run(s) failed, the first: fragile on tiny" in capsys.readouterr().err
    assert results(out)["fragile"]["outcome"] == "error" and not (out / "table.md").exists()


@pytest.mark.parametrize("rank, own", [(0, ["a", "c"]), (1, ["b"])])
def test_launcher_processes_alternate_over_pairs(monkeypatch, rank, own):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", str(rank))
    assert own_share(["a", "b", "c"], steps_only=True) == own


def test_launcher_processes_have_one_gpu_each(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device("cuda") == "cuda"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert [own_device(name) for name in ("cuda", "cpu", "cuda:0")] == ["cuda:1", "cpu", "cuda:0"]


def test_untimed_peers_run_in_parallel_and_are_packed(tmp_path, capsys):
    out = tmp_path / "out"
    peers = ["nadamw", "adam_3e3_averaged"]
    assert main(["--peers", *peers, "--steps-only", "--jobs", "2", "--out", str(out)]) == 0
    found = results(out)
    assert set(found) == {"adam", *peers}
    base = found["adam"]
    for name in peers:
        assert found[name]["given"]["horizon"] == base["steps"]
        assert found[name]["limit_steps"] == 5 * base["steps"] and not found[name]["timed"]
    assert found["adam"]["given"] == {} and found["adam_3e3_averaged"]["outcome"] == "reached"
    capsys.readouterr()
    assert main(["pack", str(out), str(tmp_path / "kept.jsonl")]) == 0
    assert capsys.readouterr().out == f"wrote {tmp_path / 'kept.jsonl'}\n"
    assert main(["report", str(tmp_path / "kept.jsonl"), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / "table.md").read_text() == (out / "table.md").read_text()
    assert "in steps, not timed" in (out / "report.html").read_text()
    assert not (out / "loss_by_seconds.png").exists()


def test_binary_document_gives_one_line(tmp_path, make_result, capsys):
    save(tmp_path, make_result())
    document = tmp_path / "picture.png"
    document.write_bytes(b"\x89PNG\xff")
    assert main(["table", str(tmp_path), "--document", str(document)]) == 2
    assert "picture.png: is no text in UTF-8; name a Markdown file" in capsys.readouterr().err
