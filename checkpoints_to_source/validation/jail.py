"""Load a submission inside evaluate's sandbox, and kill it if it uses files, programs or network.

The sandbox contains it: a namespace without network, with read-only files, in which all processes
are killed at the end. An audit hook (PEP 578) detects what the submission asks of Python. It can't
be removed, so from then on the process only runs the submission. Native code evades the hook.
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

LOAD_SECONDS = 10  # of processor time, for the top level without library imports
PATIENCE = 180  # wall-clock time for the same; the machine may be busy
SUBMISSION = "<train.py>"  # file name of its code; no such file exists
#: What audit events reach for, by prefix of their names. The longest prefix counts.
REACHES = {
    None: "os.putenv os.unsetenv socket.__new__",  # the channel to the oracle needs a socket
    HIDDEN: "code.__new__ ctypes. gc.get_",
    "files": """
fcntl. glob. os. pathlib. shutil. sqlite3. syslog. tempfile.
""",
    "other programs": """
os.exec os.fork os.kill os.posix_spawn os.spawn os.system pty. signal.pthread_kill subprocess.
""",
    "the network": """
ftplib. http. imaplib. poplib. smtplib. socket. urllib. webbrowser.
""",
}
EVENTS = {begin: what for what, names in REACHES.items() for begin in names.split()}
LISTS = ("os.listdir", "os.scandir", "os.walk")


def load(content: bytes) -> Any:
    """Run the top level of a train.py (bytes) under watch, and return its `train`.

    The watch can't be removed, so afterwards this process can only run the submission.
    """
    _warm_up()
    searched, readable = _searched(), _readable()
    module = ModuleType("submission")
    sys.modules["submission"] = module  # dataclasses look up their module there
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
    """Use the libraries once: the first use imports more and queries the system."""
    torch.func.grad(torch.sin)(torch.zeros(()))
    torch.save(torch.zeros(1), io.BytesIO())
    numpy.linalg.norm(numpy.ones(2))
    torch.cuda.is_available()


def watch(searched: Iterable[str], readable: Iterable[str]) -> None:
    """From now on, end the process with a line on stderr if it uses something forbidden.

    An exception would not do, since the submission could swallow it.

    Args:
        searched: paths that may be read.
        readable: folders with readable contents, each ending in a separator.
    """
    sys.dont_write_bytecode = True
    # Bind local names: a submission could change the modules' attributes.
    end, write, real, text = os._exit, os.write, os.path.realpath, os.fsdecode
    listed, null, writing = LISTS, os.devnull, os.O_WRONLY | os.O_RDWR | os.O_CREAT
    frame, renaming = sys._getframe, _renaming()
    closed = tuple(sorted(EVENTS.items(), key=lambda item: -len(item[0])))

    def may_read(path):
        if path is None or isinstance(path, int):
            return True  # the working folder, or an open descriptor
        path = real(text(path))
        return path in searched or (path + "/").startswith(readable)

    def reached(event, arguments):
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, int) or flags & writing == 0 and not set(mode or "") & set("wax+"):
                return None if may_read(path) else "files"
            return None if text(path) == null else "files"
        if event in listed and may_read(arguments[0]):
            return None
        if event == "code.__new__" and renaming and frame(2).f_code is renaming:
            return None
        if event == "pickle.find_class":
            return reach_of_pickle(".".join(arguments))
        return next((what for begin, what in closed if event.startswith(begin)), None)

    def hook(event, arguments):
        if what := reached(event, arguments):
            first = repr(arguments[0])[:200] if arguments else ""
            write(2, f"\nForbidden: reaches for {what} ({event} {first})\n".encode())
            end(1)

    sys.addaudithook(hook)


def _renaming():
    """Return the code by which torch's decorators rename a function (in 2.15), or None.

    It changes nothing but the name, so a submission may use such a decorator.
    """
    function = getattr(torch.utils._contextlib, "_set_stack_frame_name", None)
    return function and function.__code__


def _searched():
    """Return Python's import folders, the working folder, and the file that called `load`.

    Tracebacks show lines of that file.
    """
    caller = getattr(sys.modules.get("submission"), "__file__", "")
    return frozenset(map(os.path.realpath, (*sys.path, os.getcwd(), caller)))


def _readable():
    """Return the folders of Python, the libraries, these packages and the system."""
    folders = {sys.prefix, sys.base_prefix, "/proc", "/sys", "/dev"}
    folders |= set(sysconfig.get_paths().values())
    for name in ("numpy", "scipy", "torch"):
        spec = importlib.util.find_spec(name)
        folders |= {os.path.dirname(os.path.dirname(spec.origin))} if spec else set()
    for name in ("checkpoints_to_source", "evaluate"):  # for tracebacks
        folders |= set(importlib.util.find_spec(name).submodule_search_locations)
    return tuple(sorted(os.path.realpath(folder) + os.sep for folder in folders))
