"""Confine a process to a few files by Landlock (Linux 5.13), without any privilege.

It replaces the separate root where the system permits no namespaces (evaluate.sandbox.hide). It
also keeps the process from signalling others (Linux 6.12) and from looking into their memory.
Imports nothing heavy.
"""

import os
import struct
from collections.abc import Collection, Iterable, Iterator

from evaluate.sandbox.mounts import LIBC, check

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_GET_VERSION, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER, _TRUNCATE = 1, 2, 4, 8, 1 << 14
_READ = _EXECUTE | _READ_FILE
#: Number of rights by version; from the fifth on there are 16.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_SIGNALS_AND_ABSTRACT_SOCKETS, SIGNALS_SINCE = 3, 6
_PR_SET_NO_NEW_PRIVS = 38


def landlock_version() -> int:
    """Return the kernel's version of Landlock, negative if it has none."""
    return LIBC.syscall(_CREATE_RULESET, None, 0, _GET_VERSION)


def confine_files(
    readable: Iterable[str], hidden: Collection[str], writable: Iterable[str]
) -> None:
    """From now on, only open files in `readable`, except `hidden` ones, and in `writable`.

    Do nothing if the kernel has no Landlock.
    """
    version = landlock_version()
    if version < 1:
        return
    every = (1 << _RIGHTS.get(version, 16)) - 1
    scoped = _SIGNALS_AND_ABSTRACT_SOCKETS if version >= SIGNALS_SINCE else 0
    attributes = struct.pack("=QQQ", every, 0, scoped)
    rules = LIBC.syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        check(rules)
    for path, rights in _rules(map(os.path.realpath, readable), hidden):
        _allow(rules, path, rights)
    for path in writable:
        files = (_READ | _WRITE_FILE | _TRUNCATE) & every
        _allow(rules, path, every if os.path.isdir(path) else files)
    check(LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    check(LIBC.syscall(_RESTRICT_SELF, rules, 0))
    os.close(rules)


def _rules(paths: Iterable[str], hidden: Collection[str]) -> Iterator[tuple[str, int]]:
    """Yield paths with their rights. A folder around a hidden path may be listed, not read."""
    for path in paths:
        if path in hidden or os.path.islink(path):
            continue
        if not os.path.isdir(path):
            yield path, _READ
        elif any(one.startswith(path + "/") for one in hidden):
            yield path, _READ_FOLDER
            yield from _rules((os.path.join(path, name) for name in os.listdir(path)), hidden)
        else:
            yield path, _READ | _READ_FOLDER


def _allow(rules: int, path: str, rights: int) -> None:
    opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
    beneath = struct.pack("=Qi", rights, opened)
    check(LIBC.syscall(_ADD_RULE, rules, _PATH_BENEATH, beneath, 0), path)
    os.close(opened)
