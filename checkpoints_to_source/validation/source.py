"""Check a train.py without running it: what it defines, imports, and reaches for.

`rules` says what may be imported. Modules may be imported, renamed and accessed by attribute, but
not used as values. Builtins and attributes that give access to everything else are closed.

A name computed at run time escapes this check. `trial` watches and contains what the file does.
"""

import ast
import io
import tokenize
import unicodedata
from functools import partial

from checkpoints_to_source.extra import extra_package
from checkpoints_to_source.modules import CHALLENGE, LIBRARIES
from checkpoints_to_source.validation import scopes
from checkpoints_to_source.validation.fault import Fault
from checkpoints_to_source.validation.newer import newer_faults
from checkpoints_to_source.validation.rules import HIDDEN, TAKE_FILES, is_module, reach, resolved

BUILTINS = {"open": "files", "input": "the terminal", "help": "other programs"} | dict.fromkeys(
    ("breakpoint", "compile", "eval", "exec", "globals", "locals"), HIDDEN
)
#: Builtins that may only be called directly: under another name they are not recognised.
CALLED = ("getattr", "setattr", "delattr", "vars")
#: Attributes that give access to the namespaces of functions and modules.
FRAMES = frozenset(
    "f_back f_builtins f_code f_globals f_locals tb_frame gi_frame gi_code cr_frame cr_code "
    "ag_frame ag_code".split()
)
#: Methods of arrays and storages that open files themselves.
METHODS = frozenset("dump from_file memmap tofile".split())
#: Unicode's categories of characters that steer the text: control, format, line and paragraph.
UNSEEN = ("Cc", "Cf", "Zl", "Zp")
#: Special names that give access only to the object and its class. All others are closed.
SPECIAL = frozenset(
    f"__{name}__"
    for name in """
abs add aenter aexit aiter and anext array array_priority array_ufunc await base bases bool bytes
call ceil class complex contains copy debug deepcopy del delattr delete delitem dict dir div divmod
doc enter eq exit file float floor floordiv format future ge getattr getitem getnewargs getstate gt
hash iadd iand ifloordiv ilshift imatmul imod imul index init init_subclass int invert ior ipow
irshift isub iter itruediv ixor le len length_hint lshift lt main matmul missing mod module mro mul
name ne neg new next or pos post_init pow prepare qualname radd rand rdivmod repr reversed rfloordiv
rlshift rmatmul rmod rmul ror round rpow rrshift rshift rsub rtruediv rxor set set_name setattr
setitem setstate sizeof slots str sub torch_function truediv trunc version xor
""".split()
)


def source_faults(content: bytes) -> list[Fault]:
    """Return all faults of a train.py (bytes), in order of lines."""
    try:
        return _source_faults(content)
    except (RecursionError, MemoryError):  # the parser may raise either
        return [_fault(1, "is nested too deeply to be read", "break up its longest expression")]


def _source_faults(content):
    try:
        text = _read_as_shown(content)
        tree = ast.parse(content, "train.py", feature_version=CHALLENGE.python)
    except SyntaxError as problem:
        what = f"is not Python {CHALLENGE.version} ({problem.msg})"
        return [_fault(problem.lineno or 1, what, "rewrite it")]
    except ValueError as problem:
        return [_fault(1, f"is not Python in UTF-8 ({problem})", "rewrite it")]
    named = partial(scopes.dotted, found=scopes.origins(tree))
    found = {
        *_unseen(text),
        *_train(tree),
        *_imports(tree),
        *_bindings(tree, named),
        *_builtins(tree),
        *_uses(tree, named),
        *_too_new(content),
        *newer_faults(tree, named),
    }
    return [_fault(line, what, fix) for line, what, fix in sorted(found)]


def _fault(line, what, fix):
    return Fault(f"train.py, line {line}", what, fix)


def _read_as_shown(content):
    """Return the text. Raise ValueError unless Python reads it as UTF-8, as a person's editor does.

    In UTF-7, for example, a comment may hold a line of code.
    """
    encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    if not encoding.startswith("utf-8"):
        raise ValueError(f"it declares {encoding}")
    return content.decode("utf-8-sig")


def _unseen(text):
    """Yield a fault for each line with characters that a reader sees elsewhere or not at all."""
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if any(unicodedata.category(one) in UNSEEN and one not in "\t\f" for one in line):
            yield number, "holds characters that cannot be seen", "write them as escapes"


def _train(tree):
    """Yield a fault if `train` can't be called with just the task."""
    defined = [
        node
        for node in tree.body
        if getattr(node, "name", None) == "train" or "train" in scopes.assigned(node)
    ]
    last = defined[-1] if defined else None
    if isinstance(last, scopes.ASSIGNMENTS):
        return  # the trial shows whether it is callable
    if not isinstance(last, ast.FunctionDef):
        what = "defines no function train at the top level"
        yield last.lineno if last else 1, what, "add def train(task):"
        return
    arguments = last.args
    needed = len(arguments.args) - len(arguments.defaults)
    takes_one = needed <= 1 and (arguments.args or arguments.vararg)
    if not takes_one or None in arguments.kw_defaults:
        yield last.lineno, "train does not take one argument", "write def train(task):"


def _imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                yield from _import(node.lineno, item.name)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "relative import", "put all code into train.py"
        elif isinstance(node, ast.ImportFrom):
            for item in node.names:
                if item.name == "*":
                    yield node.lineno, "star import", "name what is imported"
                else:
                    yield from _import(node.lineno, f"{node.module}.{item.name}")


def _import(line, name):
    if CHALLENGE.lacks(name):
        root = name.partition(".")[0]
        yield line, f"imports {root}, which {CHALLENGE.who} lacks", f"use {CHALLENGE.offer}"
    elif what := reach(name):
        yield _reach(line, name, what)


def _bindings(tree, named):
    """Yield a fault for each module bound in a class or in another scope."""
    for node, names, is_own in scopes.bindings(tree):
        is_import = not isinstance(node, scopes.ASSIGNMENTS)
        if not is_own and (is_import or is_module(named(node.value) or "")):
            yield _reach(node.lineno, f"{', '.join(names)} in another scope", HIDDEN)


def _builtins(tree):
    """Yield a fault for each use of a closed builtin or special name, such as `__builtins__`."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    closed = dict.fromkeys(filter(_is_closed, names), HIDDEN) | BUILTINS
    for line, name in scopes.unbound(tree, closed):
        yield _reach(line, name, closed[name])


def _uses(tree, named):
    """Yield the faults of attributes, imported names, strings, and builtins such as `getattr`."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    buffers = set(_buffers(tree, named))
    for node in ast.walk(tree):
        name, last = named(node), scopes.attribute(node)[1]
        if last and _leads_out(last):
            yield _reach(node.lineno, last, HIDDEN)
        elif last in METHODS and (not name or name.partition(".")[0] in LIBRARIES):
            yield _reach(node.lineno, last, "files")
        elif name and scopes.attribute(parents[node])[0] is not node:  # the outermost attribute
            yield from _use(node, name, parents[node], buffers, named)
        if isinstance(node, ast.Name) and node.id in CALLED and not name:
            call = parents[node]
            if getattr(call, "func", None) is not node or not call.args:  # vars() is globals()
                yield _reach(node.lineno, f"{node.id} as a value", HIDDEN)
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if _leads_out(node.value) and scopes.attribute(parents[node])[1] is None:
                yield _reach(node.lineno, f"{node.value!r} as a value", HIDDEN)


def _use(node, name, parent, buffers, named):
    """Yield a fault if this use of the imported name `name` is forbidden."""
    root = node
    while base := scopes.attribute(root)[0]:
        root = base
    if reach(named(root)):
        return  # its import is already a fault
    if is_module(name):
        called = getattr(getattr(parent, "func", None), "id", None)
        is_renamed = isinstance(parent, scopes.ASSIGNMENTS) and scopes.assigned(parent)
        if not is_renamed and called != "hasattr":
            yield _reach(node.lineno, f"{name} as a value", HIDDEN)
    elif node is not root and (what := reach(name)):
        is_call = resolved(name)[0] in TAKE_FILES and getattr(parent, "func", None) is node
        given = [*parent.args, *(keyword.value for keyword in parent.keywords)] if is_call else ()
        if not any(_last(one) in buffers or _is_buffer(one, named) for one in given):
            yield _reach(node.lineno, name, what)


def _buffers(tree, named):
    """Yield the last names of the targets to which an io.BytesIO is assigned."""
    for node in ast.walk(tree):
        if isinstance(node, scopes.ASSIGNMENTS) and _is_buffer(node.value, named):
            yield from map(_last, getattr(node, "targets", None) or [node.target])
        elif isinstance(node, ast.withitem) and _is_buffer(node.context_expr, named):
            yield _last(node.optional_vars)


def _is_buffer(node, named):
    return named(getattr(node, "func", None)) == "io.BytesIO"


def _last(node):
    """Return `y` for `x.y` and for `y`."""
    return getattr(node, "id", None) or getattr(node, "attr", None) or ""


def _leads_out(name):
    """Return whether an attribute of this name gives access to everything else."""
    return name in FRAMES or _is_closed(name)


def _is_closed(name):
    return name.startswith("__") and name.endswith("__") and name not in SPECIAL


def _reach(line, name, what):
    return line, f"uses {name}: reaches for {what}", "do without it"


def _too_new(content):
    """Yield a fault for each feature found by vermin that Python 3.7 lacks."""
    vermin = extra_package("vermin")
    config = vermin.Config()
    config.set_format(vermin.formats.ParsableFormat())
    config.set_parse_comments(False)  # "# novm" would disable vermin
    visitor = vermin.visit(content.decode("utf-8-sig"), config, "train.py")
    visitor.minimum_versions()
    for line in visitor.output_text().splitlines():
        _, number, _, _, newest, feature = line.split(":", 5)
        if number and feature and newest[0].isdigit():
            if tuple(map(int, newest.split("."))) > CHALLENGE.python:
                what = f"needs Python {newest} ({feature})"
                yield int(number), what, f"write it for {CHALLENGE.version}"
