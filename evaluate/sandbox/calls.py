"""Refuse dangerous system calls to a submission's process, by a kernel filter (seccomp(2)).

The filter refuses calls that

- hide memory from the count: memory files, shared memory without a file;
- leave something behind after the run if there are no namespaces: System V and POSIX queues,
  keyrings;
- reach another process;
- bypass the other protections: new namespaces, io_uring.

It applies to every thread and program that the process starts, and can't be removed. A refused call
fails with EPERM, an unconfined socket family with EAFNOSUPPORT. Imports nothing heavy.
"""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterable

from evaluate.sandbox.mounts import LIBC, check

#: Call numbers by machine. On other machines nothing is refused.
_REFUSED = {
    "x86_64": {
        "memfd_create": 319, "memfd_secret": 447, "userfaultfd": 323, "shmget": 29, "semget": 64,
        "msgget": 68, "mq_open": 240, "add_key": 248, "request_key": 249, "keyctl": 250,
        "io_uring_setup": 425, "bpf": 321, "perf_event_open": 298, "unshare": 272, "setns": 308,
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "pidfd_getfd": 438,
    },
    "aarch64": {
        "memfd_create": 279, "memfd_secret": 447, "userfaultfd": 282, "shmget": 194, "semget": 190,
        "msgget": 186, "mq_open": 180, "add_key": 217, "request_key": 218, "keyctl": 219,
        "io_uring_setup": 425, "bpf": 280, "perf_event_open": 241, "unshare": 97, "setns": 268,
        "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "pidfd_getfd": 438,
    },
}  # fmt: skip
#: For each machine: its number in the filter, and the calls that need special handling.
_MACHINES = {
    "x86_64": (
        0xC000003E, {"socket": 41, "mmap": 9, "clone": 56, "clone3": 435, "seccomp": 317},
    ),
    "aarch64": (
        0xC00000B7, {"socket": 198, "mmap": 222, "clone": 220, "clone3": 435, "seccomp": 277},
    ),
}  # fmt: skip
_CLONE_NEWUSER, _MAP_SHARED, _MAP_ANONYMOUS = 0x10000000, 1, 0x20
#: Numbers from here on belong to a second table of calls, which no program needs.
_SECOND_TABLE = 0x40000000
_LOAD, _EQUALS, _AT_LEAST, _HAS_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _MACHINE, _FIRST_ARGUMENT, _FOURTH_ARGUMENT = 0, 4, 16, 40  # offsets in the filter's input
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_SET_MODE_FILTER, _ALLOW_SPECULATION = 1, 4
_PR_SET_NO_NEW_PRIVS = 38


def refuse_calls(is_offline: bool) -> None:
    """Install the filter in this single-threaded process, if the kernel supports filters.

    `is_offline`: also refuse network sockets, since there is no network namespace.
    """
    machine = os.uname().machine
    if machine not in _MACHINES:
        return
    families = {socket.AF_UNIX} if is_offline else {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6}
    program = _filter(machine, families)
    check(LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    code = ctypes.create_string_buffer(program, len(program))
    words = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    header = ctypes.create_string_buffer(words, len(words))
    number = _MACHINES[machine][1]["seccomp"]
    # Allow speculation: otherwise some kernels slow down the whole process.
    LIBC.syscall(number, _SET_MODE_FILTER, _ALLOW_SPECULATION, header)


def _filter(machine: str, families: Iterable[int]) -> bytes:
    """Return the filter's program, in which a failed test skips its own instructions."""
    number, with_arguments = _MACHINES[machine]
    refuse = _answer(_ERROR | errno.EPERM)
    unknown = _answer(_ERROR | errno.ENOSYS)
    family = [_load(_FIRST_ARGUMENT)]
    for one in sorted(families):
        family += _when(_EQUALS, one, [_answer(_ALLOW)])
    family.append(_answer(_ERROR | errno.EAFNOSUPPORT))
    clone = [_load(_FIRST_ARGUMENT), *_when(_HAS_BITS, _CLONE_NEWUSER, [refuse]), _answer(_ALLOW)]
    # Anonymous shared mappings: the kernel keeps them whole, and does not report their size.
    is_shared = _when(_HAS_BITS, _MAP_SHARED, [refuse])
    mapping = [_load(_FOURTH_ARGUMENT), *_when(_HAS_BITS, _MAP_ANONYMOUS, is_shared)]
    mapping.append(_answer(_ALLOW))
    program = [_load(_MACHINE), *_unless(number, unknown), _load(_NUMBER)]
    program += _when(_AT_LEAST, _SECOND_TABLE, [unknown])
    program += _when(_EQUALS, with_arguments["socket"], family)
    program += _when(_EQUALS, with_arguments["mmap"], mapping)
    program += _when(_EQUALS, with_arguments["clone"], clone)
    # A filter can't read the arguments of clone3, which are in memory. libc falls back to clone.
    program += _when(_EQUALS, with_arguments["clone3"], [unknown])
    for call in _REFUSED[machine].values():
        program += _when(_EQUALS, call, [refuse])
    return b"".join([*program, _answer(_ALLOW)])


def _load(offset: int) -> bytes:
    return struct.pack("=HBBI", _LOAD, 0, 0, offset)


def _answer(value: int) -> bytes:
    return struct.pack("=HBBI", _RETURN, 0, 0, value)


def _when(test: int, value: int, then: list[bytes]) -> list[bytes]:
    return [struct.pack("=HBBI", test, 0, len(then), value), *then]


def _unless(value: int, then: bytes) -> list[bytes]:
    return [struct.pack("=HBBI", _EQUALS, 1, 0, value), then]
