"""Watches a submission while it runs. This file's text is put in front of the submission's own.

An audit hook (PEP 578) sees what Python is asked for on the way: files, the network, other
programs. Native code goes around it, and nobody is stopped who sets out to: that is for a sandbox.
"""

import os
import sys
import sysconfig

EVENTS = {
    "socket.connect": "the network",
    "socket.bind": "the network",
    "socket.sendto": "the network",
    "socket.getaddrinfo": "the network",
    "socket.gethostbyname": "the network",
    "urllib.Request": "the network",
    "subprocess.Popen": "other programs",
    "os.system": "other programs",
    "os.exec": "other programs",
    "os.posix_spawn": "other programs",
    "os.spawn": "other programs",
    "os.fork": "other programs",
    "pty.spawn": "other programs",
    "os.listdir": "files",
    "os.scandir": "files",
    "os.remove": "files",
    "os.rename": "files",
    "os.mkdir": "files",
    "os.rmdir": "files",
    "os.truncate": "files",
    "os.symlink": "files",
    "os.link": "files",
}
LISTS = ("os.listdir", "os.scandir")  # folders that may be read may be listed
SUBMISSION = "train.py"  # the file name of its code
# Where Python and the libraries lie, and what the system tells of itself: imports read there.
READABLE = {sys.prefix, sys.base_prefix, "/proc", "/sys", "/dev"}
READABLE |= {path for path in sysconfig.get_paths().values()}
READABLE = tuple(sorted({os.path.realpath(path) + os.sep for path in READABLE}))


class Forbidden(BaseException):
    """Not an Exception, so that a submission's own handlers let it through."""


def watch():
    """From now on raise Forbidden where the submission's code reaches for what it may not use."""
    sys.addaudithook(_hook)


def _hook(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        reach = None if _is_readable(path, mode, flags) else "files"
        target = path
    else:
        reach, target = EVENTS.get(event), arguments[0] if arguments else ""
        if event in LISTS and isinstance(target, str) and _is_readable(target, "r", 0):
            return
    if reach and _is_submissions(sys._getframe(1)):
        raise Forbidden(f"reaches for {reach} ({event} {target!r})")


def _is_readable(path, mode, flags):
    if isinstance(path, int):
        return True  # a descriptor that is open already
    if flags & (os.O_WRONLY | os.O_RDWR) or (mode and set(mode) & set("wax+")):
        return os.fsdecode(path) == os.devnull
    return (os.path.realpath(os.fsdecode(path)) + os.sep).startswith(READABLE)


def _is_submissions(frame):
    """Whether the nearest code that is the submission's or the oracles' is the submission's."""
    while frame is not None:
        if frame.f_code.co_filename == SUBMISSION:
            return True
        if frame.f_globals.get("__name__", "").startswith("evaluate."):
            return False
        frame = frame.f_back
    return False
