"""A root file system for submissions, with only what they need to run.

It is an allowlist: results, other runs' folders, leftovers of killed runs, service sockets and
devices are absent, wherever they are. Everything is read-only except `WORK`, an in-memory file
system of bounded size, so nothing is left for the next run. A submission has no capability to
change its mounts, and in nested namespaces they are locked (mount_namespaces(7)). Imports nothing
heavy.
"""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from evaluate.sandbox.mounts import (
    BIND,
    LIBC,
    READ_ONLY,
    bind,
    check,
    detach,
    mount,
    set_read_only,
    swap_root,
)

#: The working, home and temporary folder. `/dev/shm` links to it too.
WORK = "/tmp"
#: Limit of files in `WORK`: each takes memory that no other limit counts.
_MOST_FILES = 65_536
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/sys/devices/system")
_SETTINGS = (
    "alternatives", "fonts", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime",
    "mime.types", "nsswitch.conf", "passwd",
)  # fmt: skip
DEVICES = ("/dev/null", "/dev/full", "/dev/random", "/dev/urandom")
_LINKS = {
    "/dev/zero": "full",  # reads the same, but can't be mapped as shared memory
    "/dev/fd": "/proc/self/fd", "/dev/stdin": "fd/0", "/dev/stdout": "fd/1",
    "/dev/stderr": "fd/2", "/dev/shm": WORK, "/var/tmp": WORK,
}  # fmt: skip
#: Our packages that a submission's process, or a peer, imports.
_PACKAGES = ("evaluate", "policy", "checkpoints", "checkpoints_to_source", "writing")
#: The folder with these packages. `_CHECKOUT` is the same, but None if they are installed.
PROJECT = str(Path(__file__).resolve().parents[2])
_CHECKOUT = None if os.path.basename(PROJECT).endswith("-packages") else PROJECT
_BEFORE, _SUBMISSION = "/.before", "/submission"
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_CAPABILITY_VERSION_3 = 0x20080522


def needed() -> list[str]:
    """Return the paths that a submission's process needs: the system, Python, and its packages.

    From the project's folder and the working folder, only `_PACKAGES` are included, since both may
    hold results.
    """
    settings = [f"/etc/{name}" for name in _SETTINGS]
    python = [sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.realpath(sys.executable)]
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    own = [os.path.join(PROJECT, name) for name in _PACKAGES]
    others = [path for path in sys.path if os.path.realpath(path) not in (_CHECKOUT, os.getcwd())]
    found = [*_SYSTEM, *settings, *python, *filter(os.path.isabs, [*libraries, *others]), *own]
    return list(filter(os.path.exists, dict.fromkeys(found)))


def enter_own_root(
    shown: Sequence[str], hidden: Iterable[str], submission: str | None, memory_bytes: int
) -> str | None:
    """Give this process a root that contains only the paths in `shown`.

    `hidden` files and folders among them appear empty. Everything is read-only (Linux 5.12) except
    `WORK`, which holds at most `memory_bytes`. Call this only in the process's own mount namespace,
    from an empty working folder.

    Return the submission's path in the new root. Raise OSError if a mount is refused.
    """
    root = os.getcwd()
    mount("none", root, "tmpfs", 0, "size=16m,mode=755")
    os.mkdir(root + _BEFORE)
    swap_root(root, root + _BEFORE)
    os.chdir("/")
    with contextlib.suppress(OSError):  # old kernels lack this call
        set_read_only(_BEFORE, True, is_recursive=True)
    os.mkdir(WORK)
    mount("none", WORK, "tmpfs", 0, f"size={memory_bytes},nr_inodes={_MOST_FILES},mode=777")
    _make_devices()
    kept = _show(shown)
    # Don't empty a folder that contains shown paths, as the results' folder may.
    _empty(path for path in hidden if not any(one.startswith(path + "/") for one in kept))
    place = submission and _place(submission)
    detach(_BEFORE)
    os.rmdir(_BEFORE)
    with contextlib.suppress(OSError):
        set_read_only("/", True, is_recursive=True)
        set_read_only(WORK, False)
    os.chdir(WORK)
    return place


def give_up_capabilities() -> None:
    """Drop all of root's capabilities, for this process and its descendants."""
    check(LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        check(LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    check(LIBC.capset(header, none))


def _show(paths: Sequence[str]) -> list[str]:
    """Bind each path at its real location, then create the symbolic links that lead to it.

    Return the bound locations.
    """
    kept: list[str] = []
    for real in sorted({_real(path) for path in [*paths, "/proc"]}):
        if not any(real == one or real.startswith(one + "/") for one in kept):
            kept.append(real)
            _make_place(real, os.path.isdir(_BEFORE + real))
            bind(_BEFORE + real, real)
    for path in paths:
        _link(path)
    return kept


def _real(path: str) -> str:
    """Return `os.path.realpath` in the former root, resolving absolute links inside of it."""
    place = "/"
    for number, part in enumerate(parts := Path(path).parts[1:]):
        place = os.path.join(place, part)
        if os.path.islink(_BEFORE + place):
            return _real(_followed(place, parts[number + 1 :]))
    return place


def _link(path: str) -> None:
    """Copy each symbolic link on the way to a path of the former root."""
    place = "/"
    for number, part in enumerate(parts := Path(path).parts[1:]):
        place = os.path.join(place, part)
        if os.path.islink(_BEFORE + place):
            if not os.path.lexists(place):
                os.makedirs(os.path.dirname(place), exist_ok=True)
                os.symlink(os.readlink(_BEFORE + place), place)
            return _link(_followed(place, parts[number + 1 :]))


def _followed(link: str, rest: Sequence[str]) -> str:
    target = os.path.join(os.path.dirname(link), os.readlink(_BEFORE + link), *rest)
    return os.path.normpath(target)


def _place(submission: str) -> str:
    """Bind the file at a path that reveals nothing."""
    place = os.path.join(_SUBMISSION, os.path.basename(submission))
    _make_place(place, is_folder=False)
    bind(_BEFORE + submission, place)
    return place


def _make_place(path: str, is_folder: bool) -> None:
    os.makedirs(path if is_folder else os.path.dirname(path), exist_ok=True)
    if not is_folder:
        open(path, "x").close()


def _make_devices() -> None:
    os.mkdir("/dev")
    for path in DEVICES:
        _make_place(path, is_folder=False)
        bind(_BEFORE + path, path)
    for name, target in _LINKS.items():
        os.makedirs(os.path.dirname(name), exist_ok=True)
        os.symlink(target, name)


def _empty(hidden: Iterable[str]) -> None:
    for path in hidden:
        if os.path.isdir(path):
            mount("none", path, "tmpfs", READ_ONLY)
        elif os.path.exists(path):
            mount("/dev/null", path, flags=BIND)
