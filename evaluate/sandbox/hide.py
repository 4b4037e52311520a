"""The root that a submission sees: what it needs to run, and nothing else.

A list of what is shown and not of what is hidden: results, other runs' folders, what a killed run
left, sockets of services and devices are not there, wherever they lie. All is read-only but
`WORK`, one file system in memory of a bounded size, so that nothing is left for the next run. A
submission has no capability to change its mounts, and in a namespace below its own they are locked
(mount_namespaces(7)). Imports nothing heavy.
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

#: The working folder, the home and the place for temporary files; `/dev/shm` leads there too.
WORK = "/tmp"
#: Files that may lie there: each takes memory that no limit counts.
_MOST_FILES = 65_536
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/sys/devices/system")
_SETTINGS = (
    "alternatives", "fonts", "group", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime",
    "mime.types", "nsswitch.conf", "passwd",
)  # fmt: skip
_DEVICES = ("null", "full", "random", "urandom")
_LINKS = {
    "/dev/zero": "full",  # reads alike, but cannot be mapped to share memory
    "/dev/fd": "/proc/self/fd", "/dev/stdin": "fd/0", "/dev/stdout": "fd/1",
    "/dev/stderr": "fd/2", "/dev/shm": WORK, "/var/tmp": WORK,
}  # fmt: skip
#: Our own packages that a submission's process, or a peer, is made of.
_PACKAGES = ("evaluate", "policy", "checkpoints", "checkpoints_to_source", "writing")
#: The folder that holds these packages, and the same where it is not one of installed packages.
PROJECT = str(Path(__file__).resolve().parents[2])
_CHECKOUT = None if os.path.basename(PROJECT).endswith("-packages") else PROJECT
_BEFORE, _SUBMISSION = "/.before", "/submission"
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_CAPABILITY_VERSION_3 = 0x20080522


def needed() -> list[str]:
    """The paths that a submission's process needs: the system, Python, and its packages.

    Of the folder that this project lies in, and of the working folder, nothing but `_PACKAGES`:
    results lie there, too.
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
    """Give this process a root in which only what is `shown` is there; of that, `hidden` files
    and folders read as empty. All is read-only (Linux 5.12) but `WORK`, of so many bytes.

    Returns the path at which the submission's file now lies. In a mount namespace of this process's
    own only, from an empty working folder. Raises OSError where a mount is refused.
    """
    root = os.getcwd()
    mount("none", root, "tmpfs", 0, "size=16m,mode=755")
    os.mkdir(root + _BEFORE)
    swap_root(root, root + _BEFORE)
    os.chdir("/")
    with contextlib.suppress(OSError):  # an old kernel has no such call
        set_read_only(_BEFORE, True, is_recursive=True)
    os.mkdir(WORK)
    mount("none", WORK, "tmpfs", 0, f"size={memory_bytes},nr_inodes={_MOST_FILES},mode=777")
    _make_devices()
    kept = _show(shown)
    # A folder around what is shown, as the results' may be, is no more than a way to it.
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
    """Have none of root's capabilities, in this process and all that it starts."""
    check(LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        check(LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    check(LIBC.capset(header, none))


def _show(paths: Sequence[str]) -> list[str]:
    """Bind each path, where it really lies, then make the links by which its name leads there.

    Returns the places that were bound.
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
    """`os.path.realpath` in the former root, whose absolute links lead out of it."""
    place = "/"
    for number, part in enumerate(parts := Path(path).parts[1:]):
        place = os.path.join(place, part)
        if os.path.islink(_BEFORE + place):
            return _real(_followed(place, parts[number + 1 :]))
    return place


def _link(path: str) -> None:
    """Make each symbolic link on the way to a path in the former root."""
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
    """Bind the file where its path tells nothing."""
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
    for name in _DEVICES:
        _make_place(f"/dev/{name}", is_folder=False)
        bind(f"{_BEFORE}/dev/{name}", f"/dev/{name}")
    for name, target in _LINKS.items():
        os.makedirs(os.path.dirname(name), exist_ok=True)
        os.symlink(target, name)


def _empty(hidden: Iterable[str]) -> None:
    for path in hidden:
        if os.path.isdir(path):
            mount("none", path, "tmpfs", READ_ONLY)
        elif os.path.exists(path):
            mount("/dev/null", path, flags=BIND)
