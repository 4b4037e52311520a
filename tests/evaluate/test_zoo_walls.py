"""Submissions that try to carry data into or out of a run.

They smuggle it in before the clock starts, or out for their next run. They train, so that anything
that got through would show in the number of steps.
"""

import json
import os
import socket
from pathlib import Path
from threading import Event

import pytest
from zoo import DIGITS, TOPICS, needs_landlock, needs_namespaces

from evaluate.outcomes import Outcome
from evaluate.run import launch, serving
from evaluate.run.channel import Channel
from evaluate.run.process import run_in_process
from evaluate.run.serving import Server
from evaluate.sandbox import guard
from evaluate.sandbox.landlock import SIGNALS_SINCE, landlock_version
from evaluate.sandbox.limits import Ended
from evaluate.sandbox.namespaces import namespaces_work
from evaluate.sandbox.processes import processes_below, takes_more_than

MEMORY_FILES = """
        import os

        def memory_files():
            links = [(int(n), os.readlink(f"/proc/self/fd/{n}"))
                     for n in os.listdir("/proc/self/fd") if os.path.lexists(f"/proc/self/fd/{n}")]
            return [number for number, link in links if "memfd" in link]
        """


def test_weights_arrive_when_the_clock_starts(verdict):
    report = verdict(
        MEMORY_FILES
        + """
        before = memory_files()

        def train(task):
            raise RuntimeError(f"{len(before)} before, {len(memory_files())} now")
        """
    )
    assert report["message"].startswith("RuntimeError: 0 before, 1 now")


@pytest.mark.parametrize("size", [0, 2**30])
def test_oracle_weights_cannot_be_resized(verdict, size):
    report = verdict(
        MEMORY_FILES
        + f"""
        def train(task):
            try:
                os.ftruncate(memory_files()[0], {size})
            except PermissionError:
                descend(task)
        """
    )
    assert report["outcome"] == Outcome.REACHED and report["steps"] > 0


def test_loading_does_not_reveal_the_task(verdict):
    report = verdict(
        f"""
        import gc, glob

        def read(path):
            try:
                return open(path, errors="replace").read()
            except OSError:
                return ""

        words = "".join(map(read, glob.glob("/proc/*/cmdline") + glob.glob("/proc/*/environ")))
        words += str([one for one in gc.get_objects() if type(one) is dict and "seed" in one])
        found = "{DIGITS.name}" in words.split("known_data_files")[0]

        def train(task):
            raise RuntimeError(f"found: {{found}}")
        """
    )
    assert report["message"].startswith("RuntimeError: found: False")


def test_training_during_loading_is_stopped(verdict, monkeypatch):
    monkeypatch.setattr(serving, "LOAD_LIMIT", 0.5)
    report = verdict("import time\ntime.sleep(30)\n\ndef train(task):\n    descend(task)\n")
    assert report["outcome"] == Outcome.ERROR
    assert report["message"].startswith("its file took longer than")


def test_half_a_message_during_loading_is_stopped(verdict, monkeypatch):
    monkeypatch.setattr(serving, "LOAD_LIMIT", 0.5)
    report = verdict(
        """
        import os, time

        for name in os.listdir("/proc/self/fd"):
            path = f"/proc/self/fd/{name}"
            if os.path.lexists(path) and os.readlink(path).startswith("socket"):
                os.write(int(name), bytes(2))
        time.sleep(5)

        def train(task):
            descend(task)
        """
    )
    assert report["outcome"] == Outcome.ERROR
    assert report["message"].startswith("its file took longer than")


#: Two functions each: `keep(data)`, and `kept()`, which returns the bytes of an earlier run or
#: None. Numbers of system calls are for x86-64.
CARRIERS = {
    "System V shared memory": """
libc.shmat.restype = ctypes.c_void_p

def keep(data):
    place = libc.shmget(KEY, len(data), 0o1666)
    if place >= 0:
        ctypes.memmove(libc.shmat(place, None, 0), data, len(data))

def kept():
    place = libc.shmget(KEY, 0, 0o666)
    return None if place < 0 else ctypes.string_at(libc.shmat(place, None, 0), SIZE)
""",
    "a POSIX queue": """
def keep(data):
    queue = libc.mq_open(b"/weights", os.O_CREAT | os.O_RDWR | os.O_NONBLOCK, 0o666, None)
    libc.mq_send(queue, data, len(data), 0)

def kept():
    queue = libc.mq_open(b"/weights", os.O_RDWR | os.O_NONBLOCK)
    found = ctypes.create_string_buffer(2**16)
    return found.raw[:SIZE] if libc.mq_receive(queue, found, 2**16, None) == SIZE else None
""",
    "a keyring": """
def keep(data):
    libc.syscall(248, b"user", b"weights", data, len(data), -4)

def kept():
    key, found = libc.syscall(250, 10, -4, b"user", b"weights", 0), bytes(2**16)
    size = libc.syscall(250, 11, key, found, len(found)) if key > 0 else -1
    return found[:SIZE] if size == SIZE else None
""",
    "files anywhere": """
PLACES = [".", "/", "/tmp", "/var/tmp", "/dev/shm", "/run", "/usr/share", "/etc", os.getcwd(),
          os.path.expanduser("~"), SUBMISSION, *filter(None, sys.path), sys.prefix, HOME]

def keep(data):
    for place in PLACES:
        try:
            open(place + "/weights", "wb").write(data)
        except OSError:
            pass

def kept():
    found = [p + "/weights" for p in PLACES if os.path.exists(p + "/weights")]
    return open(found[0], "rb").read() if found else None
""",
}


@needs_namespaces
@pytest.mark.parametrize("carrier", CARRIERS)
def test_nothing_carries_over_to_the_next_run(inside, carrier):
    key, home = os.getpid(), str(Path.home())
    code = f"""
import ctypes, os, sys
libc, KEY, SIZE, HOME = ctypes.CDLL(None), {key}, 4840, {home!r}
{CARRIERS[carrier]}
print("found" if kept() else "nothing")
keep(bytes([1] * SIZE))
"""
    assert [inside(code) for _ in range(2)] == ["nothing\n"] * 2


@needs_landlock
def test_files_are_written_only_in_its_own_folder_without_namespaces(
    inside, without_namespaces, tmp_path
):
    code = f"""
for folder in (".", {str(tmp_path)!r}, "/dev/shm"):
    try:
        open(folder + "/weights.{os.getpid()}", "x").close()
        print("written")
    except PermissionError as problem:
        print(problem.errno)
"""
    assert inside(code) == "written\n13\n13\n"


@needs_landlock
def test_files_are_closed_without_namespaces(inside, without_namespaces, tmp_path):
    """Native code evades the audit hook."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "one.json").touch()
    paths = DIGITS, TOPICS, tmp_path / "out" / "one.json", "/etc/passwd", launch.__file__
    code = f"""
import ctypes
libc = ctypes.CDLL(None)
print([libc.open(path, 0) >= 0 for path in {list(map(os.fsencode, paths))}])
"""
    found = inside(code, data_files=[str(DIGITS)], results=str(tmp_path / "out"))
    assert found == f"{[False, False, False, True, True]}\n"


@needs_landlock
def test_worker_is_out_of_reach_without_namespaces(inside, without_namespaces):
    code = """
import os
for reach in (lambda: open(f"/proc/{os.getppid()}/mem", "rb"), lambda: os.kill(os.getppid(), 0)):
    try:
        print(reach())
    except PermissionError as problem:
        print(problem.errno)
"""
    first, second = inside(code).split()
    assert first == "13" and (second == "1" or landlock_version() < SIGNALS_SINCE)


@needs_namespaces
def test_weights_kept_in_files_do_not_help_the_next_run(verdict):
    body = """
        import glob
        import torch

        def train(task):
            for path in glob.glob("*.kept") + glob.glob("/dev/shm/*.kept"):
                for weight, kept in zip(task.state, torch.load(path)):
                    weight.copy_(kept)
                task.test(task.state)
            try:
                descend(task)
            finally:
                torch.save(task.state, "own.kept")
                torch.save(task.state, "/dev/shm/shared.kept")
        """
    reports = [verdict(body) for _ in range(2)]
    assert [report["outcome"] for report in reports] == [Outcome.REACHED] * 2
    assert reports[1]["steps"] == reports[0]["steps"] > 0


@needs_namespaces
def test_results_and_folders_of_other_runs_are_hidden(inside, tmp_path):
    for name in ("out/one.json", "evaluate-left/report.json", "data/labels"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("weights")
    assert inside(f"import os; print(list(os.walk({str(tmp_path)!r})))") == "[]\n"


@needs_namespaces
def test_results_are_hidden_on_pythonpath(inside, tmp_path, monkeypatch):
    """PYTHONPATH may point to the folder around the results."""
    results = tmp_path / "modules" / "out"
    results.mkdir(parents=True)
    (results / "one.json").touch()
    monkeypatch.syspath_prepend(results.parent)
    look = f"import os; print(list(os.walk({str(results.parent)!r})))"
    expected = [(str(results.parent), ["out"], []), (str(results), [], [])]
    assert inside(look, results=str(results)) == f"{expected}\n"


@needs_namespaces
def test_results_folder_may_contain_what_a_submission_needs(inside):
    around = str(Path(__file__).parents[2])
    assert inside("import evaluate.run; print('found')", results=around) == "found\n"


@needs_namespaces
def test_data_files_are_empty_and_data_modules_are_missing(inside):
    look = f"import os; print(len(open({str(DIGITS)!r}).read()), os.path.exists({str(TOPICS)!r}))"
    assert inside(look, data_files=[str(DIGITS)]) == "0 False\n"


def test_copies_of_the_data_in_other_pythons_are_found(monkeypatch, tmp_path):
    """A system's own Python has nearly the same help texts as a judge's."""
    topics = tmp_path / "lib/python3.11/pydoc_data"
    digits = tmp_path / "lib/python3/dist-packages/sklearn/datasets/data/digits.csv.gz"
    for path in (topics / "topics.py", digits):
        path.parent.mkdir(parents=True)
        path.touch()
    monkeypatch.setattr(guard, "OTHER_PYTHONS", (str(tmp_path),))
    assert str(topics) in guard.data_folders() and str(TOPICS.parent) in guard.data_folders()
    assert str(digits) in guard.known_data_files() and str(DIGITS) in guard.known_data_files()


@needs_namespaces
def test_services_of_the_machine_are_unreachable(inside, tmp_path):
    connect = f"""
import socket
try:
    socket.socket(socket.AF_UNIX).connect({str(tmp_path / "service")!r})
except FileNotFoundError:
    print("no such service")
"""
    with socket.socket(socket.AF_UNIX) as service:
        service.bind(str(tmp_path / "service"))
        service.listen()
        assert inside(connect) == "no such service\n"


@needs_namespaces
def test_only_common_devices_exist(inside):
    devices = "fd full null random shm stderr stdin stdout urandom zero"
    assert inside("import os; print(*sorted(os.listdir('/dev')))") == f"{devices}\n"


def test_environment_of_the_judge_is_not_inherited(inside, monkeypatch):
    monkeypatch.setenv("JUDGES_TOKEN", "secret")
    assert inside("import os; print(os.environ.get('JUDGES_TOKEN'))") == "None\n"


CLIMBS = {
    "namespaces of its own": "libc.unshare(0x10000000)",
    "a child with namespaces of its own": "libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)",
    "a look into another process": "libc.ptrace(16, os.getppid(), 0, 0)",
    "a ring of calls": "libc.syscall(425, 8, bytes(128))",
    "a memory file": "libc.memfd_create(b'x', 0)",
    "shared memory that is no file": "libc.mmap(None, 4096, 3, 0x21, -1, 0)",
    "the same, checked": "libc.mmap(None, 4096, 3, 0x23, -1, 0)",
    "a mount": "libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)",
    "the end of a mount": "libc.umount2(b'/tmp', 2)",
}


@pytest.mark.parametrize("name", CLIMBS)
def test_system_calls_that_bypass_the_sandbox_are_refused(inside, name):
    code = f"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print({CLIMBS[name]}, os.strerror(ctypes.get_errno()))
"""
    if "mount" in name and not namespaces_work():
        pytest.skip("the judge's own mounts are the system's to guard")
    assert inside(code) == "-1 Operation not permitted\n"


def test_other_kinds_of_sockets_are_refused(inside):
    """A virtual machine's host socket is in no network namespace."""
    code = """
import socket
for family in (40, 16, 38, 17):
    try:
        socket.socket(family, socket.SOCK_DGRAM)
    except OSError as problem:
        print(problem.errno)
"""
    assert inside(code) == "97\n" * 4


FILLS = {
    "a file": ("open('x', 'wb').write(bytes(100 * 2**20))", True),
    "a file in shared memory": ("open('/dev/shm/x', 'wb').write(bytes(100 * 2**20))", True),
    "half of it in a file, half of it private": (
        "open('x', 'wb').write(bytes(60 * 2**20)); kept = bytearray(60 * 2**20)", True),
    "a file that is mapped, once": (
        "open('x', 'wb').write(bytes(60 * 2**20)); f = open('x', 'r+b'); "
        "kept = mmap.mmap(f.fileno(), 0); kept.write(bytes(60 * 2**20))", False),
    "in page tables, by reads alone": (
        "kept = mmap.mmap(-1, 2**36, flags=0x4022, prot=mmap.PROT_READ); kept.madvise(15); "
        "[kept[place] for place in range(0, 2**36, 2**21)]", True),
    "little": ("kept = bytearray(2**20)", False),
    "by threads whose first has ended": (
        "threading.Thread(target=lambda: (bytearray(b'x') * 100 * 2**20, said())).start(); "
        "libc.syscall(60, 0)", True),
    "by one whose name is no text": (
        r"libc.prctl(15, b'\xff'); kept = bytearray(b'x') * 100 * 2**20", True),
    "by one whose name claims to be a count": (
        r"libc.prctl(15, b'\x0bRssAnon: many'); kept = bytearray(b'x') * 100 * 2**20", True),
    "in a mapped file whose name claims to be a count": (
        r"open('\x0b\x0bPss: 99999999 kB', 'wb').write(bytes(100 * 2**20)); "
        r"f = open('\x0b\x0bPss: 99999999 kB', 'r+b'); kept = mmap.mmap(f.fileno(), 0)", True),
}  # fmt: skip


@needs_namespaces
@pytest.mark.parametrize("name", FILLS)
def test_memory_counts_once_wherever_it_is(inside, name):
    fill, is_too_much = FILLS[name]
    code = f"""
import ctypes, mmap, os, sys, threading
libc = ctypes.CDLL(None)

def said():
    print("full", flush=True)
    sys.stdin.read()
    os._exit(0)

{fill}
said()
"""

    def measure(process):
        return takes_more_than(processes_below(process, 99), 90 * 2**20)

    assert inside(code, measure=measure) is is_too_much


def test_buffers_of_sockets_are_bounded_by_their_number(verdict):
    report = verdict(
        """
        import resource, socket

        def train(task):
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
            kept = [socket.socketpair() for _ in range(512)]
        """
    )
    assert report["message"].startswith("OSError: [Errno 24] Too many open files")


@needs_namespaces
def test_shared_memory_of_dev_zero_is_refused(inside):
    """Shared memory of `/dev/zero` is refused: once unmapped, nobody can count it."""
    code = """
import mmap
zero = open("/dev/zero", "r+b")
print(zero.read(3))
try:
    mmap.mmap(zero.fileno(), 4096)
except OSError as problem:
    print(problem.errno)
"""
    assert inside(code) == "b'\\x00\\x00\\x00'\n19\n"


def test_full_working_folder_does_not_fill_the_disk(inside):
    code = """
import os
try:
    for i in range(10**6):
        open(str(i), "wb").write(bytes(2**20))
except OSError as problem:
    print(problem.errno)
"""
    assert not namespaces_work() or inside(code, memory_bytes=2**24) == "28\n"


def test_printed_output_cannot_be_retracted(job):
    report, _ = run_in_process(
        job(
            """
        import os

        def train(task):
            print("first words", flush=True)
            for path in ("/proc/self/fd/1", "/proc/self/fd/2"):
                try:
                    os.truncate(path, 0)
                except OSError:
                    continue
                open(path, "w").write("forged")
            os._exit(3)
        """
        ),
        Event(),
    )
    assert report["message"] == "the process ended with code 3: first words"


TEXTS = {
    "half a character": "'\\udc80'",
    "steers the terminal": "'\\x1b[2J\\x1b]0;judge\\x07'",
    "turns the direction": "'\\u202eevil'",
    "many lines": "'a\\r\\nb' * 10**6",
}


@pytest.mark.parametrize("name", TEXTS)
def test_messages_are_sanitised_on_arrival(verdict, name):
    report = verdict(f"def train(task):\n    raise ValueError({TEXTS[name]})\n")
    message = report["message"]
    assert report["outcome"] == Outcome.ERROR and message.startswith("ValueError: ")
    assert message.isprintable() and len(message) < 1100
    message.encode()


@pytest.mark.parametrize(
    "rates",
    [
        "[(10**400, [0.1])]",
        "[(0, [0.1] * 20_000)] * 200",
        "[(0, ['\\udc80'])]",
        "[(0, [[0.1]])]",
        "[(-1, [0.1])]",
        "[(0, [])]",
        "{'a': 1}",
    ],
)
def test_odd_learning_rates_are_dropped(verdict, rates):
    report = verdict(f"learning_rates = {rates}\n\ndef train(task):\n    descend(task)\n")
    assert report["outcome"] == Outcome.REACHED and report["learning_rates"] is None


def test_invalid_rates_become_nan(verdict):
    rates = "learning_rates = [(0, [1e300, float('nan'), 0.1])]"
    report = verdict(f"{rates}\n\ndef train(task):\n    descend(task)\n")
    assert json.dumps(report["learning_rates"]) == "[[0, [NaN, NaN, 0.1]]]"


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    channels = Channel(ours.detach()), Channel(theirs.detach())
    yield channels
    for channel in channels:
        channel.close()


@pytest.mark.parametrize("outcome", ["reached", "stopped", "no such word", None, {}])
def test_forbidden_outcome_claim_is_an_error(ends, outcome):
    ours, theirs = ends
    server = Server(ours, None)
    theirs.send({"end": "raised", "outcome": outcome})
    with pytest.raises(Ended) as caught:
        server.begin(5)
    assert caught.value.outcome is Outcome.ERROR


@pytest.mark.parametrize("kind", ["to_sparse()", "to_sparse_csr()", "to('meta')"])
def test_batches_are_dense_tensors(verdict, kind):
    report = verdict(
        f"""
        def train(task):
            batch = next(iter(task.train_iterator(batch_size=4, shuffle=True)))
            task.batch_loss((batch.x.flatten(1).{kind}, batch.y))
        """
    )
    assert report["message"].startswith("TypeError: a batch is made of dense tensors on the CPU")
