"""Loads a submission inside of evaluate's sandbox, and from then on ends it at the first reach.

The sandbox contains it: a namespace without network, with read-only files and with an end for all
that was started. An audit hook (PEP 578) names what Python is asked for on the way. It stands for
the whole process, where all that is left to do is the submission's. Native code goes around it.
"""

import importlib.util
import io
import linecache
import math
import os
import resource
import signal
import sys
import sysconfig
import time
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy
import torch

from checkpoints_to_source.validation.rules import HIDDEN, reach_of_pickle

LOAD_SECONDS = 10  # of the processor, for the top level, libraries left out
PATIENCE = 180  # on the clock, for the same: other work may go on
SUBMISSION = "<train.py>"  # the file name of its code: none that could be looked for on disk
#: What events of the audit reach for, by how their names begin.
EVENTS = {
    "ctypes.": HIDDEN,
    "code.__new__": HIDDEN,
    "fcntl.": "files",
    "ftplib.": "the network",
    "gc.get_": HIDDEN,
    "glob.": "files",
    "http.": "the network",
    "imaplib.": "the network",
    "os.exec": "other programs",
    "os.fork": "other programs",
    "os.kill": "other programs",
    "os.posix_spawn": "other programs",
    "os.spawn": "other programs",
    "os.system": "other programs",
    "os.putenv": None,
    "os.unsetenv": None,
    "os.": "files",
    "pathlib.": "files",
    "poplib.": "the network",
    "pty.": "other programs",
    "shutil.": "files",
    "signal.pthread_kill": "other programs",
    "smtplib.": "the network",
    "socket.__new__": None,  # of a descriptor that is there: the channel to the oracle
    "socket.": "the network",
    "sqlite3.": "files",
    "subprocess.": "other programs",
    "syslog.": "files",
    "tempfile.": "files",
    "urllib.": "the network",
    "webbrowser.": "the network",
}
LISTS = ("os.listdir", "os.scandir", "os.walk")


def load(content: bytes) -> Any:
    """Run the top level of a train.py (bytes), watched, and return its `train`.

    For the process of a submission alone: the watch and the limits cannot be taken off.
    """
    _warm_up()
    searched, readable = _searched(), _readable()
    module = ModuleType("submission")
    sys.modules["submission"] = module  # dataclasses look there
    module.__file__ = SUBMISSION
    lines = content.decode("utf-8-sig").splitlines(True)
    linecache.cache[SUBMISSION] = len(content), None, lines, SUBMISSION  # for warnings
    code = compile(content, SUBMISSION, "exec")
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    spent = math.ceil(time.process_time())
    for number in (signal.SIGALRM, signal.SIGXCPU):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(PATIENCE)
    resource.setrlimit(resource.RLIMIT_CPU, (spent + LOAD_SECONDS, most))
    lift = resource.setrlimit
    watch(searched, readable)
    exec(code, module.__dict__)
    signal.alarm(0)
    lift(resource.RLIMIT_CPU, (most, most))
    return module.train


def _warm_up():
    """Have the libraries import, and ask the system, what they do not do before the first use."""
    torch.func.grad(torch.sin)(torch.zeros(()))
    torch.save(torch.zeros(1), io.BytesIO())
    numpy.linalg.norm(numpy.ones(2))
    torch.cuda.is_available()


def watch(searched: Iterable[str], readable: Iterable[str]) -> None:
    """From now on end the process, with a line on stderr, at the first reach for what a submission
    may not use. An exception its handlers could swallow.

    Args:
        searched: paths that may be opened.
        readable: folders in which all may be, each with a separator at its end.
    """
    sys.dont_write_bytecode = True
    # The names that the hook uses are its own: a submission could change those of the modules.
    end, tell, real, text = os._exit, os.write, os.path.realpath, os.fsdecode
    listed, closed, writing = LISTS, tuple(EVENTS.items()), os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def may_read(path):
        if path is None or isinstance(path, int):
            return True  # the working folder, or a descriptor that is open already
        path = real(text(path))
        return path in searched or (path + os.sep).startswith(readable)

    def reached(event, arguments):
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, int) or flags & writing == 0 and not set(mode or "") & set("wax+"):
                return None if may_read(path) else "files"
            return None if text(path) == os.devnull else "files"
        if event in listed and may_read(arguments[0]):
            return None
        if event == "pickle.find_class":
            return reach_of_pickle(".".join(arguments))
        return next((what for begin, what in closed if event.startswith(begin)), None)

    def hook(event, arguments):
        if what := reached(event, arguments):
            first = repr(arguments[0])[:200] if arguments else ""
            tell(2, f"\nForbidden: reaches for {what} ({event} {first})\n".encode())
            end(1)

    sys.addaudithook(hook)


def _searched():
    """Folders in which Python looks for what is imported, the working one too, and the file that
    called `load`, which tracebacks show."""
    caller = getattr(sys.modules.get("submission"), "__file__", "")
    return frozenset(map(os.path.realpath, (*sys.path, os.getcwd(), caller)))


def _readable():
    """Where Python, the libraries and these packages lie, and what the system tells of itself."""
    folders = {sys.prefix, sys.base_prefix, "/proc", "/sys", "/dev"}
    folders |= set(sysconfig.get_paths().values())
    for name in ("numpy", "scipy", "torch"):
        spec = importlib.util.find_spec(name)
        folders |= {os.path.dirname(os.path.dirname(spec.origin))} if spec else set()
    for name in ("checkpoints_to_source", "evaluate"):  # for lines of a traceback
        folders |= set(importlib.util.find_spec(name).submodule_search_locations)
    return tuple(sorted(os.path.realpath(folder) + os.sep for folder in folders))
