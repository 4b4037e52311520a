"""System calls for mounts, which Python lacks. Imports nothing heavy."""

import ctypes
import os

READ_ONLY, BIND, RECURSIVE = 1, 4096, 16384  # flags of mount(2)
_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE, _ATTR_READ_ONLY = 442, -100, 0x8000, 1
LIBC = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Call mount(2). Like all calls here, raise OSError if it fails."""
    words = os.fsencode(source), os.fsencode(target), kind.encode()
    check(LIBC.mount(*words, flags, options.encode()), target)


def bind(source: str, target: str) -> None:
    """Bind `source` to `target`, with all mounts below it."""
    mount(source, target, flags=BIND | RECURSIVE)


def swap_root(root: str, before: str) -> None:
    """Make the mount at `root` the root, and put the former root at `before` (pivot_root(2))."""
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(f"pivot_root: not known for {os.uname().machine}")
    check(LIBC.syscall(number, os.fsencode(root), os.fsencode(before)), root)


def detach(path: str) -> None:
    """Lazily unmount a mount and all below it: open files stay usable until closed."""
    check(LIBC.umount2(os.fsencode(path), _DETACH), path)


def set_read_only(path: str, is_on: bool, is_recursive: bool = False) -> None:
    """Set or clear a mount's read-only flag, by mount_setattr(2) (Linux 5.12).

    `is_recursive`: apply it to all mounts below too.
    """
    on, off = (_ATTR_READ_ONLY, 0) if is_on else (0, _ATTR_READ_ONLY)
    attributes = (ctypes.c_uint64 * 4)(on, off, 0, 0)
    size = ctypes.c_size_t(ctypes.sizeof(attributes))
    flags = _AT_RECURSIVE if is_recursive else 0
    call = _MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), flags, ctypes.byref(attributes), size
    check(LIBC.syscall(*call), path)


def check(returned: int, path: str | None = None) -> None:
    """Raise OSError if a call of the C library failed."""
    if returned:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
