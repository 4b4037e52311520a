"""Rules on what a train.py may use of the standard library and of torch, numpy and scipy.

A name is judged by the object that it leads to: `torch.os` is `os`. Of the standard library, only
the names listed as open are allowed. Of the libraries, everything is allowed except private names
and the parts listed here.
"""

import importlib
import sys
from functools import cache
from types import ModuleType
from typing import Any

from checkpoints_to_source.modules import LIBRARIES

HIDDEN = "what it hides from this check"
#: Modules that reach nothing outside of the process, except names in CLOSED.
OPEN = frozenset(
    """
__future__ abc argparse array ast base64 binascii bisect calendar cmath collections colorsys
contextlib contextvars copy copyreg csv dataclasses datetime decimal difflib enum errno fractions
genericpath hashlib heapq hmac html itertools json keyword logging math numbers operator pickle
posixpath pprint queue random re reprlib secrets statistics struct textwrap threading time
traceback types typing unicodedata warnings weakref zlib
""".split()
)
#: Names in OPEN modules that open files, look up names, evaluate text, or make code.
CLOSED = frozenset(
    """
argparse.FileType logging.FileHandler logging.config logging.handlers operator.attrgetter
operator.methodcaller types.CodeType typing.ForwardRef typing.evaluate_forward_ref
typing.get_type_hints
""".split()
)
#: The open names of partly closed modules. Their constants and exceptions are also open.
PARTLY = {
    "bz2": "compress decompress BZ2Compressor BZ2Decompressor",
    "codecs": "encode decode lookup getencoder getdecoder",
    "concurrent": "",
    "concurrent.futures": "ThreadPoolExecutor Future Executor as_completed wait",
    "functools": "cache cached_property cmp_to_key lru_cache partial partialmethod reduce "
    "total_ordering update_wrapper wraps",
    "gc": "collect disable enable freeze get_count get_stats get_threshold isenabled "
    "set_threshold unfreeze",
    "gzip": "compress decompress",
    "inspect": "Parameter Signature cleandoc getdoc getfullargspec getmro isabstract isbuiltin "
    "isclass iscoroutinefunction isfunction isgenerator isgeneratorfunction ismethod ismodule "
    "isroutine signature",
    "io": "BytesIO IOBase RawIOBase BufferedIOBase TextIOBase StringIO",
    "lzma": "compress decompress LZMACompressor LZMADecompressor",
    "multiprocessing": "cpu_count",
    "os": "cpu_count environ fspath getenv getloadavg getpid getppid path putenv "
    "sched_getaffinity times uname unsetenv urandom",
    "platform": "architecture machine node python_implementation python_version "
    "python_version_tuple release system version",
    "resource": "getrusage",
    "signal": "Handlers Signals alarm getitimer getsignal setitimer signal",
    "string": "Template capwords",
    "sys": "argv exc_info exit float_info flags getdefaultencoding getrecursionlimit getrefcount "
    "getsizeof hash_info implementation int_info intern stderr stdin stdlib_module_names stdout "
    "setrecursionlimit thread_info version_info",
    "timeit": "default_timer",
    "uuid": "UUID uuid3 uuid4 uuid5",
}
#: What modules and parts of libraries reach for. Other modules that are not open count as HIDDEN.
REACHES = {
    "the network": """
asyncio ftplib http imaplib nntplib poplib select selectors smtplib socket socketserver ssl
telnetlib urllib webbrowser wsgiref xmlrpc torch.distributed torch.hub torch.utils.model_zoo
""",
    "other programs": """
multiprocessing pty subprocess concurrent.futures.ProcessPoolExecutor os.exec os.fork os.kill
os.popen os.posix_spawn os.spawn os.system torch.multiprocessing torch.utils.collect_env
torch.utils.cpp_extension
""",
    "files": """
bz2 codecs dbm fcntl fileinput glob gzip io linecache lzma mailbox mmap os pathlib shelve shutil
sqlite3 syslog tarfile tempfile zipfile numpy.DataSource numpy.f2py numpy.fromfile numpy.fromregex
numpy.genfromtxt numpy.lib.format numpy.lib.npyio numpy.load numpy.loadtxt numpy.memmap numpy.save
numpy.savetxt numpy.savez numpy.savez_compressed scipy.datasets scipy.io scipy.sparse.load_npz
scipy.sparse.save_npz torch.export torch.from_file torch.jit.load torch.jit.save torch.load
torch.monitor torch.onnx torch.package torch.profiler torch.save torch.serialization
torch.utils.tensorboard
""",
    HIDDEN: """
numpy.ctypeslib numpy.distutils numpy.test numpy.testing scipy.LowLevelCallable scipy.test
torch.classes torch.fx torch.library torch.ops torch.testing torch.utils.benchmark
torch.utils.bottleneck
""",
}
#: Prefixes of names such as os.execvp.
FAMILIES = ("os.exec", "os.spawn")
WHAT = {name: what for what, names in REACHES.items() for name in names.split()}
#: Prefixes of private library names that are open: operators, and queries about the machine.
OPERATORS = ("_foreach_", "_fused_", "_is_")
CONSTANTS = (bool, bytes, float, int, str, tuple)
#: Builtins that a pickle may name.
TYPES = frozenset(
    "bool bytearray bytes complex dict float frozenset int list object range set slice str "
    "tuple".split()
)
#: Functions that take a file or an io.BytesIO; the latter is allowed.
TAKE_FILES = frozenset(
    """
numpy.load numpy.loadtxt numpy.save numpy.savetxt numpy.savez numpy.savez_compressed torch.jit.load
torch.jit.save torch.load torch.save gzip.GzipFile bz2.BZ2File lzma.LZMAFile
""".split()
)


def reach(dotted: str) -> str | None:
    """Return what an imported object, a dotted name, reaches for; None if it may be used."""
    name, thing = resolved(dotted)
    if isinstance(thing, CONSTANTS) or isinstance(thing, type) and issubclass(thing, BaseException):
        return None
    if name.partition(".")[0] not in LIBRARIES:
        return None if _is_open(name) else _listed(name) or HIDDEN
    is_private = any(part[:1] == "_" and not part.startswith(OPERATORS) for part in name.split("."))
    return _listed(dotted) or _listed(name) or (HIDDEN if is_private else None)


def reach_of_pickle(dotted: str) -> str | None:
    """Return what a pickle that refers to this name reaches for; None if it is allowed.

    Private parts of libraries are allowed, since they rebuild tensors. Of the builtins, only types
    are allowed.
    """
    root, _, rest = dotted.partition(".")
    if root == "builtins":
        return None if rest in TYPES else HIDDEN
    name = resolved(dotted.removeprefix("_"))[0]
    if name.partition(".")[0] in LIBRARIES:
        return _listed(name)
    is_own = name.partition(".")[0] not in sys.stdlib_module_names
    return None if is_own or _is_open(name) else _listed(name) or HIDDEN


def is_module(dotted: str) -> bool:
    """Return whether a dotted name leads to a module."""
    return isinstance(resolved(dotted)[1], ModuleType)


@cache
def resolved(dotted: str) -> tuple[str, Any]:
    """Return `(name, thing)`: the object that `dotted` leads to, and the name that defines it.

    The object is None if there is none, or if it is in a closed module, which is not imported.
    """
    root, *rest = dotted.split(".")
    name, thing = root, _imported(root)
    for part in rest:
        name = f"{name}.{part}"
        thing = getattr(thing, part, None)
        if thing is None:
            thing = _imported(name)
        if isinstance(thing, ModuleType):
            name = thing.__name__
        elif thing is None and part in sys.stdlib_module_names:  # other releases may have it
            name, thing = part, _imported(part)
    home = getattr(thing, "__module__", None)
    if name.partition(".")[0] in LIBRARIES and callable(thing) and isinstance(home, str):
        if home.partition(".")[0] in sys.stdlib_module_names - {"builtins"}:
            name = f"{home.removeprefix('_')}.{thing.__name__}"  # functools, not _functools
    return name, thing


def _imported(name):
    """Return the module of that name; None if it is closed or missing."""
    prefixes = _prefixes(name)
    if prefixes[0] not in OPEN | LIBRARIES | PARTLY.keys() or "._" in name or _listed(name):
        return sys.modules.get(name) if prefixes[0] in PARTLY else None
    try:
        return importlib.import_module(name)
    except Exception:  # parts of libraries may need missing packages, and raise anything
        return None


def _is_open(name):
    """Return whether a name of the standard library is open."""
    prefixes = _prefixes(name)
    if any(part in CLOSED for part in prefixes) or any(p[:1] == "_" for p in name.split(".")[1:]):
        return False
    module = next((part for part in reversed(prefixes) if part in OPEN or part in PARTLY), None)
    if module is None or module in OPEN or module == name:
        return module is not None
    return name.removeprefix(f"{module}.").partition(".")[0] in PARTLY[module].split()


def _listed(name):
    """Return the entry of the name in REACHES, or of the closest parent."""
    names = [stem for stem in FAMILIES if name.startswith(stem)] + _prefixes(name)[::-1]
    return next((WHAT[name] for name in names if name in WHAT), None)


def _prefixes(name):
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]
