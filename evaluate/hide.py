"""What a submission's mount namespace hides from it, so that no program it starts can look there.

Mounts over the task's data, over what makes it, and over the folder of the process that keeps the
clock. A submission has no capability to take them off again, and in a namespace below its own they
are locked (mount_namespaces(7)). Imports nothing heavy.
"""

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

_MS_RDONLY, _MS_BIND = 1, 4096
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_CAPABILITY_VERSION_3 = 0x20080522
_LIBC = ctypes.CDLL(None, use_errno=True)


def hide(files: Sequence[str], folders: Sequence[str], private: str) -> None:
    """Make files and folders read as empty, and the private folder as the working folder.

    In a mount namespace of this process's own only. Raises OSError where a mount is refused.
    """
    for file in files:
        _mount("/dev/null", file, "", _MS_BIND)
    for folder in folders:
        _mount("none", folder, "tmpfs", _MS_RDONLY)
    _mount(os.getcwd(), private, "", _MS_BIND)
    os.chdir(private)


def give_up_capabilities() -> None:
    """Have none of root's capabilities, in this process and all that it starts."""
    _check(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        _check(_LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    _check(_LIBC.capset(header, none))


def _mount(source: str, target: str, kind: str, flags: int) -> None:
    _check(_LIBC.mount(source.encode(), os.fsencode(target), kind.encode(), flags, None), target)


def _check(returned: int, path: str | None = None) -> None:
    if returned:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
