"""What a submission's mount namespace hides and protects, whatever program it starts.

All files are read-only there but for a working folder and shared memory of its own, so that nothing
is left for the next run. Mounts over the task's data, over what makes it, and over the folder of
the process that keeps the clock. A submission has no capability to take them off again, and in a
namespace below its own they are locked (mount_namespaces(7)). Imports nothing heavy.
"""

import contextlib
import ctypes
import os
from collections.abc import Sequence
from pathlib import Path

_MS_RDONLY, _MS_BIND = 1, 4096
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 24, 38
_CAPABILITY_VERSION_3 = 0x20080522
SHARED_MEMORY = "/dev/shm"
_LIBC = ctypes.CDLL(None, use_errno=True)


def hide(files: Sequence[str], folders: Sequence[str], private: str, memory_bytes: int) -> None:
    """Make files and folders read as empty, the private folder the working folder, shared memory,
    of so many bytes, a new one, and all else read-only (Linux 5.12 and later).

    In a mount namespace of this process's own only. Raises OSError where a mount is refused.
    """
    for file in files:
        _mount("/dev/null", file, "", _MS_BIND)
    for folder in folders:
        _mount("none", folder, "tmpfs", _MS_RDONLY)
    _mount(os.getcwd(), private, "", _MS_BIND)
    os.chdir(private)
    _mount("none", SHARED_MEMORY, "tmpfs", 0, f"size={memory_bytes}")
    with contextlib.suppress(OSError):  # an old kernel has no such call
        _set_read_only("/", True, _AT_RECURSIVE)
        _set_read_only(private, False)
        _set_read_only(SHARED_MEMORY, False)


def give_up_capabilities() -> None:
    """Have none of root's capabilities, in this process and all that it starts."""
    _check(_LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        _check(_LIBC.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0))
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    _check(_LIBC.capset(header, none))


def _mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    words = source.encode(), os.fsencode(target), kind.encode()
    _check(_LIBC.mount(*words, flags, options.encode()), target)


def _set_read_only(path: str, is_on: bool, flags: int = 0) -> None:
    """mount_setattr(2) of a mount, or with _AT_RECURSIVE of all below it too."""
    on, off = (_MOUNT_ATTR_RDONLY, 0) if is_on else (0, _MOUNT_ATTR_RDONLY)
    attributes = (ctypes.c_uint64 * 4)(on, off, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    call = _MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), flags, ctypes.byref(attributes), size
    _check(_LIBC.syscall(*call), path)


def _check(returned: int, path: str | None = None) -> None:
    if returned:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
