"""What running a train.py finds, where reading it finds nothing."""

import subprocess
import sys

from checkpoints_to_source.validation import trial
from checkpoints_to_source.validation.trial import watched

TRAIN = "\n\ndef train(task):\n    pass\n"


def load_faults(source, folder):
    return " ".join(map(str, trial._load_faults(source.encode(), folder)))


HIDDEN = {  # no reading of the source finds these
    "io.__dict__['op' + 'en']('/etc/hostname')": "files",
    "io.__dict__['op' + 'en']('left-behind', 'w')": "files",
    "vars(os)['list' + 'dir']('/')": "files",
    "vars(os)['sys' + 'tem']('true')": "other programs",
    "vars(_socket)['soc' + 'ket']().connect(('127.0.0.1', 1))": "the network",
}


def test_what_no_reading_finds_is_caught(tmp_path):
    lines = ["import _socket, io, os"]
    for body in HIDDEN:
        lines += ["try:", f"    {body}", "except BaseException as problem:", "    print(problem)"]
    path = tmp_path / "run.py"
    path.write_text(watched("\n".join(lines).encode()) + "\nLOAD()\n")
    done = subprocess.run([sys.executable, path], capture_output=True, text=True, cwd=tmp_path)
    found = done.stdout.splitlines()
    assert len(found) == len(HIDDEN), done.stderr
    for line, reach in zip(found, HIDDEN.values(), strict=True):
        assert line.startswith(f"reaches for {reach} (")
    assert list(tmp_path.iterdir()) == [path]


def test_no_handler_of_the_submission_hides_it(tmp_path):
    (body, reach), *_ = HIDDEN.items()
    source = f"import io\ntry:\n    {body}\nexcept Exception:\n    pass\n{TRAIN}"
    assert f"reaches for {reach}" in load_faults(source, tmp_path)


def test_imports_and_what_the_libraries_read_are_no_fault(tmp_path):
    source = f"import decimal, scipy.special, torch\ntorch.get_num_threads(){TRAIN}"
    assert load_faults(source, tmp_path) == ""


def test_a_slow_top_level_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "_LOAD", trial._LOAD.replace("> 10.0", "> 0.2"))
    source = f"total = 0\nfor i in range(20_000_000):\n    total += i{TRAIN}"
    assert "its top level takes" in load_faults(source, tmp_path)


def test_a_top_level_that_hangs_or_fails_is_named(tmp_path, monkeypatch):
    assert "ZeroDivisionError" in load_faults(f"1 / 0{TRAIN}", tmp_path)
    monkeypatch.setattr(trial, "PATIENCE", 1.0)
    assert "does not end" in load_faults(f"import time\ntime.sleep(60){TRAIN}", tmp_path)


def test_oracles_may_do_what_the_submission_may_not(tmp_path):
    """The watch is on the submission's code alone, not on what the oracles do when it calls."""
    (tmp_path / "evaluate").mkdir()
    (tmp_path / "evaluate" / "__init__.py").write_text("")
    (tmp_path / "evaluate" / "oracle.py").write_text(
        "def test(path):\n    open(path).close()\n    return 'read'\n"
    )
    source = "def train(test, path):\n    return test(path)\n"
    path = tmp_path / "run.py"
    path.write_text(
        watched(source.encode()) + "\nLOAD()\nfrom evaluate.oracle import test\n"
        f"print(NAMESPACE['train'](test, {str(path)!r}))\n"
    )
    done = subprocess.run([sys.executable, path], capture_output=True, text=True)
    assert done.stdout == "read\n", done.stderr
