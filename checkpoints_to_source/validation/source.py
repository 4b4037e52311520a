"""Reads a train.py without running it: what it defines, imports, and reaches for.

The rules, beside those on what may be imported (`.rules`):

1. A module is no value: it is imported, renamed, and asked for an attribute by name.
2. Names that lead to all others, of builtins and of attributes, are closed.

A reading can be deceived, by a name that is put together at run time for instance; the trial
(`checkpoints_to_source.validation.trial`) watches what it does, and contains it.
"""

import ast
import sys
from functools import partial

from checkpoints_to_source.extra import extra_package
from checkpoints_to_source.modules import LIBRARIES, NEWER, PYTHON
from checkpoints_to_source.validation.annotations import annotation_faults
from checkpoints_to_source.validation.fault import Fault
from checkpoints_to_source.validation.newer import newer_faults
from checkpoints_to_source.validation.rules import HIDDEN, TAKE_FILES, is_module, reach, resolved
from checkpoints_to_source.validation.scopes import (
    ASSIGNMENTS,
    assigned,
    attribute,
    bindings,
    dotted,
    origins,
    unbound,
)

VERSION = ".".join(map(str, PYTHON))
BUILTINS = {"open": "files", "input": "the terminal", "help": "other programs"}
BUILTINS.update(dict.fromkeys(("eval", "exec", "compile", "breakpoint"), HIDDEN))
BUILTINS.update(dict.fromkeys(("globals", "locals"), HIDDEN))
#: That may be called, and are no values: else they would be what they are called something else.
CALLED = ("getattr", "setattr", "delattr", "vars")
#: Attributes that lead from any object to the namespaces of functions and modules.
FRAMES = frozenset(
    "f_back f_builtins f_code f_globals f_locals tb_frame gi_frame gi_code cr_frame cr_code "
    "ag_frame ag_code".split()
)
#: Methods of arrays and storages that open files themselves.
METHODS = frozenset("dump from_file memmap tofile".split())
#: Special names that lead to nothing but the object and its class. The others are closed.
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
    named = partial(dotted, found=origins(tree))
    found = [*_train(tree), *_imports(tree), *_bindings(tree, named), *_uses(tree, named)]
    found += [_reach(line, name, BUILTINS[name]) for line, name in unbound(tree, BUILTINS)]
    found += [_reach(line, name, HIDDEN) for line, name in unbound(tree, _special_names(tree))]
    found += _too_new(content)
    found += newer_faults(tree, named)
    found += annotation_faults(tree, named)
    return [_fault(line, what, mend) for line, what, mend in sorted(set(found))]


def _fault(line, what, mend):
    return Fault(f"train.py, line {line}", what, mend)


def _train(tree):
    defined = [
        node
        for node in tree.body
        if getattr(node, "name", None) == "train" or "train" in assigned(node)
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


def _imports(tree):
    """Faults of what is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for item in node.names:
                yield from _import_faults(node.lineno, item.name)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield node.lineno, "relative import", "put all code into train.py"
                continue
            for item in node.names:
                if item.name == "*":
                    yield node.lineno, "star import", "name what is imported"
                else:
                    yield from _import_faults(node.lineno, f"{node.module}.{item.name}")


def _import_faults(line, name):
    root = name.partition(".")[0]
    if root not in LIBRARIES and (root not in sys.stdlib_module_names or root in NEWER):
        libraries = ", ".join(sorted(LIBRARIES))
        mend = f"use {libraries} and the standard library of Python {VERSION}"
        yield line, f"imports {root}, which the challenge lacks", mend
    elif what := reach(name):
        yield _reach(line, name, what)


def _bindings(tree, named):
    """Faults of modules that are bound as attributes of a class, or in another's scope."""
    for node, names, is_own in bindings(tree):
        is_import = not isinstance(node, ASSIGNMENTS)
        if not is_own and (is_import or is_module(named(node.value) or "")):
            yield _reach(node.lineno, f"{', '.join(names)} in another scope", HIDDEN)


def _uses(tree, named):
    """Faults of attributes and of imported modules."""
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    buffers = set(_buffers(tree, named))
    for node in ast.walk(tree):
        name, last = named(node), attribute(node)[1]
        if last and _leads_out(last):
            yield _reach(node.lineno, last, HIDDEN)
        elif last in METHODS and (not name or name.partition(".")[0] in LIBRARIES):
            yield _reach(node.lineno, last, "files")
        elif name and not _is_told_before(node, named) and not _goes_on(node, parents, named):
            yield from _use(node, name, parents, buffers, named)
        if isinstance(node, ast.Name) and node.id in CALLED and not name:
            yield from _looked_up(node, parents[node])
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if _leads_out(node.value) and attribute(parents[node])[1] is None:
                yield _reach(node.lineno, f"{node.value!r} as a value", HIDDEN)


def _use(node, name, parents, buffers, named):
    """Faults of one imported name with all the attributes that are asked of it."""
    parent = parents[node]
    if is_module(name):
        called = getattr(getattr(parent, "func", None), "id", None)
        is_renamed = isinstance(parent, ASSIGNMENTS) and assigned(parent)
        if not is_renamed and called != "hasattr":
            yield _reach(node.lineno, f"{name} as a value", HIDDEN)
    elif not isinstance(node, ast.Name) and (what := reach(name)):
        is_call = resolved(name)[0] in TAKE_FILES and getattr(parent, "func", None) is node
        given = [*parent.args, *(keyword.value for keyword in parent.keywords)] if is_call else ()
        if not any(_last(one) in buffers or _is_buffer(one, named) for one in given):
            yield _reach(node.lineno, name, what)


def _is_told_before(node, named):
    """Whether what it is an attribute of may not even be imported."""
    while base := attribute(node)[0]:
        node = base
    return reach(named(node)) is not None


def _goes_on(node, parents, named):
    """Whether an attribute of it is asked for by name."""
    return attribute(parents[node])[0] is node


def _buffers(tree, named):
    """Last names of what is assigned an io.BytesIO."""
    for node in ast.walk(tree):
        if isinstance(node, ASSIGNMENTS) and _is_buffer(node.value, named):
            yield from map(_last, getattr(node, "targets", None) or [node.target])
        elif isinstance(node, ast.withitem) and _is_buffer(node.context_expr, named):
            yield _last(node.optional_vars)


def _is_buffer(node, named):
    return named(getattr(node, "func", None)) == "io.BytesIO"


def _last(node):
    """`y` of `x.y` and of `y`."""
    return getattr(node, "id", None) or getattr(node, "attr", None) or ""


def _looked_up(node, call):
    """A fault of getattr and its like as a value, and of `vars()`, which is `globals()`."""
    if getattr(call, "func", None) is not node or not call.args:
        yield _reach(node.lineno, f"{node.id} as a value", HIDDEN)


def _leads_out(name):
    """Whether an attribute of this name leads from an object to all others."""
    return name in FRAMES or _is_closed(name)


def _is_closed(name):
    return name.startswith("__") and name.endswith("__") and name not in SPECIAL


def _special_names(tree):
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return set(filter(_is_closed, names))


def _reach(line, name, what):
    return line, f"uses {name}: reaches for {what}", "do without it"


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
