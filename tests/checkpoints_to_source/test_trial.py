"""Trial runs of a train.py: they find what static checks miss, and leave nothing behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from checkpoints_to_source.archive import pack
from checkpoints_to_source.cli import main
from checkpoints_to_source.validation import jail, trial, validate
from evaluate.outcomes import Outcome
from evaluate.sandbox.processes import processes_below

TRAIN = "\n\ndef train(task):\n    pass\n"


@pytest.fixture(scope="module", autouse=True)
def warm():
    """Import everything that loading needs, once for the processes of all tests."""
    jail._warm_up()


def loaded(source, folder, seconds=10, patience=180):
    """Return `(exit code, stderr)` of a process that only loads a file."""
    ours, theirs = os.pipe()
    process = os.fork()
    if not process:
        try:
            os.dup2(theirs, 2)
            os.chdir(folder)
            jail.LOAD_SECONDS, jail.PATIENCE = seconds, patience
            jail.load(source.encode())
            os._exit(0)
        except BaseException as problem:
            os.write(2, repr(problem).encode())
            os._exit(3)
    os.close(theirs)
    with open(ours) as errors:
        text = errors.read()
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), text


#: Static checks can't find these.
HIDDEN = {
    "vars(io)['op' + 'en']('/etc/hostname')": "files",
    "vars(io)['op' + 'en']('left-behind', 'w')": "files",
    "os.devnull = 'left-behind'; vars(io)['op' + 'en'](os.devnull, 'w')": "files",
    "vars(os)['list' + 'dir']('/')": "files",
    "vars(os)['sys' + 'tem']('true')": "other programs",
    "vars(_socket)['soc' + 'ket']().connect(('127.0.0.1', 1))": "the network",
    "vars(torch)['cty' + 'pes'].pythonapi.system(b'touch left-behind')": "what it hides",
    "pickle.loads(b'cos\\nsystem\\n(Vtouch left-behind\\ntR.')": "other programs",
    "vars(gc)['get_' + 'objects']()": "what it hides",
    "(lambda: 0).__code__.replace(co_name='x')": "what it hides",
}


@pytest.mark.parametrize("body, reach", HIDDEN.items())
def test_trial_catches_what_static_checks_miss(tmp_path, body, reach):
    source = "import _socket, gc, io, os, pickle, torch\n"
    source += f"try:\n    {body}\nexcept BaseException:\n    pass\n{TRAIN}"
    code, told = loaded(source, tmp_path)
    assert code == 1 and f"Forbidden: reaches for {reach}" in told
    assert list(tmp_path.iterdir()) == []


DISGUISES = {
    "a name of ours": "__name__ = 'evaluate.run.worker'",
    "an end that does not end": "os._exit = os.write = os.path.realpath = lambda *_: None",
    "no rules": "sys.modules['checkpoints_to_source.validation.jail'].EVENTS.clear()",
    "another thread": (
        "import concurrent.futures\n"
        "concurrent.futures.ThreadPoolExecutor(1).submit(os.system, 'true').result()"
    ),
}


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
def test_no_disguise_disables_the_watch(tmp_path, disguise):
    code, told = loaded(f"import os, sys\n{disguise}\nos.system('true'){TRAIN}", tmp_path)
    assert code == 1 and "Forbidden: reaches for other programs (os.system" in told


HONEST = {
    "scipy": "import scipy.optimize\nfrom scipy import stats\nscipy.optimize.minimize(abs, [1.0])",
    "NumPy's warning": "import numpy\nnumpy.ones(1) / numpy.zeros(1)",
    "a stack": "import traceback\ntraceback.format_stack(limit=1)",
    "dataclasses": (
        "from __future__ import annotations\nimport dataclasses\n"
        "@dataclasses.dataclass\nclass Setting:\n    rate: float = 0.1"
    ),
    "a decorator": "import torch\n@torch.no_grad()\ndef half(x):\n    return 0.5 * x",
    "a script": "import torch\n@torch.jit.script\ndef half(x):\n    return 0.5 * x",
    "optimizers": (
        "import torch\nfor kind in (torch.optim.SGD, torch.optim.Adam, torch.optim.LBFGS):\n"
        "    kind([torch.zeros(1, requires_grad=True)], lr=0.1)"
    ),
    "torch.func": (
        "import torch\nfrom torch.func import functional_call, grad, vmap\n"
        "vmap(grad(torch.sin))(torch.ones(3))\n"
        "functional_call(torch.nn.Linear(2, 2), {}, torch.ones(1, 2))"
    ),
    "copies": (
        "import copy, io, pickle, numpy, torch\nmodel = torch.nn.Linear(2, 2)\n"
        "buffer = io.BytesIO()\ntorch.save(model.state_dict(), buffer)\nbuffer.seek(0)\n"
        "torch.load(buffer)\ncopy.deepcopy(model)\npickle.loads(pickle.dumps(model))\n"
        "pickle.loads(pickle.dumps(numpy.ones(1)))"
    ),
    "questions about the machine": (
        "import inspect, multiprocessing, os, platform, torch\nmultiprocessing.cpu_count()\n"
        "os.cpu_count()\ninspect.signature(torch.optim.Adam)\nplatform.system()\n"
        "torch.cuda.is_available()\ntorch.get_num_threads()"
    ),
}


@pytest.mark.parametrize("source", HONEST.values(), ids=HONEST)
def test_honest_code_passes(tmp_path, source):
    assert loaded(source + TRAIN, tmp_path) == (0, "")


def test_slow_top_level_code_is_ended(tmp_path):
    assert loaded(f"while True:\n    pass{TRAIN}", tmp_path, seconds=1)[0] == -signal.SIGXCPU
    code = f"import time\ntime.sleep(60){TRAIN}"
    assert loaded(code, tmp_path, patience=2)[0] == -signal.SIGALRM
    for number in (signal.SIGXCPU, signal.SIGALRM):
        run = {"message": f"the process ended with code {128 + number}: no output"}
        assert "its top level" in trial._reason(run)


@pytest.fixture
def pairs(monkeypatch):
    """Replace the pairs by two whose outcomes the test chooses."""
    ends = {}
    pairs = [SimpleNamespace(name=name, of_repeat=lambda _, name=name: name) for name in "ab"]
    monkeypatch.setattr(trial, "load_suite", lambda suite: pairs)
    monkeypatch.setattr(trial, "_run", lambda path, variant: ends[variant])
    return ends


def ended(outcome, message="", seconds=1.0):
    return {"outcome": outcome, "message": message, "seconds": seconds}


def test_each_missed_pair_is_a_fault(pairs):
    pairs.update(a=ended(Outcome.REACHED), b=ended(Outcome.STOPPED))
    assert [fault.what for fault in trial.trial_faults(b"")] == [
        "on the sample pair b it ends by stopped"
    ]


def test_failed_loading_is_one_fault(pairs):
    pairs.update(a=ended(Outcome.ERROR, "ZeroDivisionError", seconds=0.0))
    assert [fault.what for fault in trial.trial_faults(b"")] == [
        "cannot be loaded: ZeroDivisionError"
    ]


def test_nothing_runs_without_a_sandbox(pairs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(trial, "namespaces_work", lambda: False)
    monkeypatch.setattr(validate, "_read", lambda content: ([], b""))
    path = tmp_path / "any.zip"
    path.write_bytes(pack({}))
    assert main(["validate", str(path)]) == 2
    assert "permits no user namespaces" in capsys.readouterr().err


@pytest.mark.skipif(not trial.namespaces_work(), reason="needs user namespaces")
def test_ctrl_c_leaves_no_process_and_no_folder(tmp_path):
    script = (
        "from checkpoints_to_source.validation.trial import trial_faults\n"
        "trial_faults(b'import time\\ntime.sleep(98766)\\ndef train(task):\\n    pass\\n')"
    )
    path = os.pathsep.join([os.getcwd(), *sys.path])
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        # Shells let background jobs ignore SIGINT, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 90
    while not any(map(_is_client, below := processes_below(process.pid, 9))):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    left = [path.name for path in tmp_path.iterdir()]
    assert not [name for name in left if name.startswith(("evaluate-", "validate-"))]
    time.sleep(0.5)
    assert not any(map(_is_running, below))


def _is_client(process):
    with contextlib.suppress(OSError):  # it may already have ended
        return b"evaluate.run.client" in Path(f"/proc/{process}/cmdline").read_bytes()


def _is_running(process):
    status = Path(f"/proc/{process}/status")
    return status.exists() and "Z (zombie)" not in status.read_text()
