"""What running a train.py finds, where reading it finds nothing."""

import json
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("body, reach", HIDDEN.items())
def test_what_no_reading_finds_is_caught_and_no_handler_hides_it(tmp_path, body, reach):
    source = f"import _socket, io, os\ntry:\n    {body}\nexcept BaseException:\n    pass\n{TRAIN}"
    assert f"Forbidden: reaches for {reach} (" in load_faults(source, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["load.py"]


def test_a_thread_hides_nothing(tmp_path):
    """Its own code need not be the submission's."""
    source = """
import concurrent.futures, io
pool = concurrent.futures.ThreadPoolExecutor(1)
pool.submit(io.__dict__['op' + 'en'], '/etc/hostname').exception()
"""
    assert "Forbidden: reaches for files (open" in load_faults(source + TRAIN, tmp_path)


HONEST = {
    "scipy": "import scipy.optimize\nfrom scipy import stats\nimport scipy.linalg",
    "a warning": "import warnings\nwarnings.warn('slow')",
    "NumPy's warning": "import numpy\nnumpy.ones(1) / numpy.zeros(1)",
    "old calls of torch": "import torch\ntorch.ones(1).add_(0.1, torch.ones(1))",
    "a stack": "import traceback\ntraceback.format_stack()",
    "dataclasses": (
        "from __future__ import annotations\nimport dataclasses\n"
        "@dataclasses.dataclass\nclass Setting:\n    rate: float = 0.1"
    ),
    "a script": (
        "import torch\n@torch.jit.script\ndef half(x):\n    return 0.5 * x\nhalf(torch.ones(1))"
    ),
    "a thread": (
        "import threading\nthread = threading.Thread(target=print)\nthread.start()\nthread.join()"
    ),
}


@pytest.mark.parametrize("source", HONEST.values(), ids=HONEST)
def test_honest_code_is_let_alone(tmp_path, source):
    assert load_faults(source + TRAIN, tmp_path) == ""


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


@pytest.mark.parametrize(
    "done, named",
    [((2, "error: no space left"), "no space left"), ((-9, ""), "-9"), (None, "does not end")],
)
def test_a_trial_that_broke_off_is_a_fault_though_a_pair_was_reached(
    tmp_path, monkeypatch, done, named
):
    def broken(command, folder, seconds):
        results = tmp_path / "results"
        results.mkdir()
        for role in ("baseline", "submission"):
            content = json.dumps({"role": role, "pair": "a", "outcome": "reached", "message": ""})
            (results / f"{role}.json").write_text(content)
        return done

    monkeypatch.setattr(trial, "_call", broken)
    (fault,) = trial._run_faults(TRAIN.encode(), tmp_path)
    assert "could not be run" in str(fault) and named in str(fault)


def test_a_trial_without_a_run_is_a_fault_however_it_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "_call", lambda *arguments: (0, ""))
    (fault,) = trial._run_faults(TRAIN.encode(), tmp_path)
    assert "could not be run" in str(fault)


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
