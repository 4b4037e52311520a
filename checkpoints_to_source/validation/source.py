"""Reads a train.py without running it: what it defines, imports, and reaches for.

A reading can be deceived, by a name that is put together at run time for instance; the trial
(:mod:`checkpoints_to_source.validation.trial`) watches what it does.
"""

import ast
import sys
from functools import partial

from checkpoints_to_source.extra import extra_package
from checkpoints_to_source.modules import LIBRARIES, NEWER, PYTHON
from checkpoints_to_source.validation.annotations import annotation_faults
from checkpoints_to_source.validation.fault import Fault
from checkpoints_to_source.validation.newer import newer_faults
from checkpoints_to_source.validation.scopes import unbound

VERSION = ".".join(map(str, PYTHON))
NETWORK = """
socket socketserver ssl urllib http ftplib smtplib poplib imaplib nntplib telnetlib xmlrpc
wsgiref webbrowser asyncore torch.distributed torch.hub torch.utils.model_zoo
torch.multiprocessing
""".split()
FILES = """
shutil tempfile glob fileinput dbm sqlite3 shelve zipfile tarfile mmap linecache io.open
io.FileIO os.open os.listdir os.scandir os.walk os.remove os.unlink os.rename os.replace
os.rmdir os.mkdir os.makedirs os.link os.symlink os.truncate codecs.open gzip.open bz2.open
lzma.open torch.load torch.save torch.jit.load torch.jit.save torch.serialization torch.package
torch.UntypedStorage.from_file torch.FloatStorage.from_file torch._C os.write os.mknod os.mkfifo
os.chmod os.chown os.utime os.setxattr logging.FileHandler logging.handlers gzip.GzipFile
bz2.BZ2File lzma.LZMAFile numpy.lib.format scipy.sparse.save_npz scipy.sparse.load_npz pwd grp
syslog torch.from_file torch.utils.cpp_extension numpy.load numpy.save numpy.savez
numpy.savez_compressed numpy.savetxt numpy.loadtxt numpy.genfromtxt numpy.fromfile numpy.memmap
numpy.DataSource scipy.io scipy.datasets pickle.load pickle.dump json.load json.dump
""".split()
PROCESSES = """
subprocess multiprocessing concurrent.futures.ProcessPoolExecutor pty os.system os.popen os.fork
os.forkpty os.kill os.exec os.spawn os.posix_spawn
""".split()
HIDDEN = """
importlib runpy ctypes builtins marshal code codeop imp pkgutil sys.modules sys.meta_path
sys.path sys.settrace sys._getframe inspect posix fcntl readline
""".split()
FORBIDDEN = {
    **dict.fromkeys(NETWORK, "the network"),
    **dict.fromkeys(FILES, "files"),
    **dict.fromkeys(PROCESSES, "other programs"),
    **dict.fromkeys(HIDDEN, "what it hides from this check"),
}
ASSIGNMENTS = ast.Assign, ast.AnnAssign  # the latter may have no value
BUILTINS = {"open": "files", "input": "the terminal"}
BUILTINS.update(dict.fromkeys(("eval", "exec", "compile", "__import__"), FORBIDDEN["builtins"]))
BUILTINS.update(dict.fromkeys(("globals", "__builtins__", "breakpoint"), FORBIDDEN["builtins"]))
METHODS = dict.fromkeys(("read_text", "read_bytes", "write_text", "write_bytes", "tofile"), "files")
METHODS.update(dict.fromkeys(("open", "touch", "mkdir", "rmdir", "unlink", "iterdir"), "files"))
METHODS.update(dict.fromkeys(("from_file", "dump", "memmap"), "files"))
METHODS.update(dict.fromkeys(("__globals__", "__subclasses__", "__code__"), FORBIDDEN["builtins"]))
METHODS.update(dict.fromkeys(("__builtins__", "__import__", "__loader__"), FORBIDDEN["builtins"]))


def source_faults(content):
    """All faults of a train.py (bytes), in the order of its lines."""
    try:
        return _source_faults(content)
    except (RecursionError, MemoryError):  # the latter is the parser's, too
        return [_fault(1, "is nested too deeply to be read", "break up its longest expression")]


def _source_faults(content):
    try:
        content.decode("utf-8-sig")
        tree = ast.parse(content, "train.py", feature_version=PYTHON)
    except SyntaxError as problem:
        what = f"is not Python {VERSION} ({problem.msg})"
        return [_fault(problem.lineno or 1, what, "rewrite it")]
    except ValueError as problem:
        return [_fault(1, f"is not Python in UTF-8 ({problem})", "rewrite it")]
    aliases, found = _aliases(tree)
    found += _train(tree)
    found += _reaches(tree, aliases)
    found += [_reach(line, name, BUILTINS[name]) for line, name in unbound(tree, BUILTINS)]
    found += _too_new(content)
    named = partial(_dotted, aliases=aliases)
    found += newer_faults(tree, named)
    found += annotation_faults(tree, named)
    return [_fault(line, what, mend) for line, what, mend in sorted(set(found))]


def _fault(line, what, mend):
    return Fault(f"train.py, line {line}", what, mend)


def _train(tree):
    defined = [
        node
        for node in tree.body
        if getattr(node, "name", None) == "train" or "train" in _assigned(node)
    ]
    if defined and isinstance(defined[-1], ASSIGNMENTS):
        return  # to something that can be called, as the trial shows
    if not defined or not isinstance(defined[-1], ast.FunctionDef):
        what = "defines no function train at the top level"
        yield (defined[-1].lineno if defined else 1), what, "add def train(task):"
        return
    arguments = defined[-1].args
    positional = len(arguments.args)
    needed = positional - len(arguments.defaults)
    keywords = [default for default in arguments.kw_defaults if default is None]
    is_callable = needed <= 1 and (positional >= 1 or arguments.vararg) and not keywords
    if not is_callable:
        yield defined[-1].lineno, "train does not take one argument", "write def train(task):"


def _assigned(node):
    """Names that a statement assigns to, each the whole value."""
    targets = [node.target] if isinstance(node, ast.AnnAssign) and node.value else []
    targets += getattr(node, "targets", [])
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _aliases(tree):
    """What each imported name, and each that one is assigned to, stands for, and the faults of the
    imports themselves."""
    aliases, faults = {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                root = item.name.partition(".")[0]
                aliases[item.asname or root] = item.name if item.asname else root
                faults += _import_faults(node.lineno, item.name)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                faults.append((node.lineno, "relative import", "put all code into train.py"))
                continue
            for item in node.names:
                if item.name == "*":
                    faults.append((node.lineno, "star import", "name what is imported"))
                aliases[item.asname or item.name] = f"{node.module}.{item.name}"
                faults += _import_faults(node.lineno, f"{node.module}.{item.name}")
    for node in ast.walk(tree):
        if isinstance(node, ASSIGNMENTS) and node.value:
            origin = _dotted(node.value, aliases)
            if origin:
                aliases.update(dict.fromkeys(_assigned(node), origin))
    return aliases, faults


def _import_faults(line, name):
    root = name.partition(".")[0]
    if root not in LIBRARIES and (root not in sys.stdlib_module_names or root in NEWER):
        libraries = ", ".join(sorted(LIBRARIES))
        mend = f"use {libraries} and the standard library of Python {VERSION}"
        return [(line, f"imports {root}, which the challenge lacks", mend)]
    return _forbidden(line, name)


def _reaches(tree, aliases):
    """Faults of attributes and calls that reach for what a submission may not use."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield from _forbidden(node.lineno, _dotted(node, aliases) or "")
            if node.attr in METHODS:
                yield _reach(node.lineno, node.attr, METHODS[node.attr])
        elif isinstance(node, ast.Call) and getattr(node.func, "id", None) == "getattr":
            yield from _looked_up(node, aliases)


def _looked_up(call, aliases):
    """A fault of ``getattr`` on a module, which could reach anything in it."""
    origin = _dotted(call.args[0], aliases) if len(call.args) > 1 else None
    if origin is None:
        return
    name = call.args[1]
    if isinstance(name, ast.Constant) and isinstance(name.value, str):
        yield from _forbidden(call.lineno, f"{origin}.{name.value}")
    else:
        yield _reach(call.lineno, f"getattr on {origin}", FORBIDDEN["builtins"])


def _forbidden(line, name):
    """A fault if the dotted name, or what it lies in, is forbidden."""
    parts = name.split(".")
    prefixes = [".".join(parts[: end + 1]) for end in range(len(parts))]
    family = next((f"os.{stem}" for stem in ("exec", "spawn") if name.startswith(f"os.{stem}")), "")
    hit = next((prefix for prefix in (*prefixes, family) if prefix in FORBIDDEN), None)
    return [_reach(line, hit, FORBIDDEN[hit])] if hit else []


def _reach(line, name, what):
    return line, f"uses {name}: reaches for {what}", "do without it"


def _dotted(node, aliases):
    """``numpy.load`` for ``np.load``; None for what is not an attribute of an imported name."""
    if isinstance(node, ast.Name):
        return aliases.get(node.id)
    if isinstance(node, ast.Attribute):
        inner = _dotted(node.value, aliases)
        return inner and f"{inner}.{node.attr}"
    return None


def _too_new(content):
    """Faults of syntax and library features that Python 3.7 lacks, as vermin finds them."""
    vermin = extra_package("vermin")
    config = vermin.Config()
    config.set_format(vermin.formats.ParsableFormat())
    config.set_parse_comments(False)  # "# novm" would switch it off
    visitor = vermin.visit(content.decode("utf-8-sig"), config, "train.py")
    visitor.minimum_versions()
    for line in visitor.output_text().splitlines():
        _, number, _, _, newest, feature = line.split(":", 5)
        if number and feature and newest[0].isdigit():
            if tuple(map(int, newest.split("."))) > PYTHON:
                yield int(number), f"needs Python {newest} ({feature})", f"write it for {VERSION}"
