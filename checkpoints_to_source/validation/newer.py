"""Find features that Python 3.7 lacks, but that later parsers accept and vermin misses."""

import ast
from collections.abc import Callable, Iterator

from checkpoints_to_source.validation.scopes import FUNCTIONS, below, imported, unbound

GENERIC = ("dict", "frozenset", "list", "set", "tuple", "type")
TYPES = (*GENERIC, "bool", "bytes", "bytearray", "complex", "float", "int", "object", "str")
#: Prefixes of standard-library names under which only types are subscripted.
LIBRARY = tuple(
    "asyncio. collections. concurrent.futures. contextlib. os.DirEntry os.PathLike queue. "
    "re.Match re.Pattern weakref.".split()
)


def newer_faults(
    tree: ast.Module, named: Callable[[ast.AST], str | None]
) -> Iterator[tuple[int, str, str]]:
    """Yield `(line, what, fix)` of subscripted types, `X | Y` of types, and bare unpacking.

    `named` returns the dotted name of an imported object, None for all other nodes.
    """
    builtin = set(unbound(tree, TYPES))
    in_annotations = _ids_below(_annotations(tree))
    never_evaluated = _ids_below(_never_evaluated(tree))
    for node in ast.walk(tree):
        if id(node) in never_evaluated:
            continue
        if isinstance(node, (ast.Return, ast.Yield)) and _is_bare(node.value):
            yield node.lineno, "needs Python 3.8 (unpacking without parentheses)", "add them"
        elif isinstance(node, ast.For) and _is_bare(node.iter):
            yield node.lineno, "needs Python 3.9 (unpacking without parentheses)", "add them"
        elif isinstance(node, ast.Subscript):
            if _is_bare(node.slice):
                yield node.lineno, "needs Python 3.11 (unpacking in an index)", "use a tuple"
            name = named(node.value) or _name_in(builtin, node.value)
            if name in GENERIC or name and name.startswith(LIBRARY):
                yield node.lineno, f"needs Python 3.9 ({name}[...])", "use the one of typing"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            if id(node) in in_annotations or _are_types(builtin, node.left, node.right):
                what = "needs Python 3.10 (X | Y of types)"
                yield node.lineno, what, "use a tuple or typing.Union"


def _annotations(tree):
    for node in ast.walk(tree):
        yield from filter(None, (getattr(node, name, None) for name in ("annotation", "returns")))


def _never_evaluated(tree):
    """Yield the annotations that Python never evaluates.

    These are the ones of local variables, and all if the module imports `annotations` from
    `__future__`.
    """
    if any(name == "__future__.annotations" for node in tree.body for _, name in imported(node)):
        yield from _annotations(tree)
    for function in ast.walk(tree):
        if isinstance(function, FUNCTIONS):
            for node in below(function):
                if isinstance(node, ast.AnnAssign):
                    yield node.annotation


def _ids_below(nodes):
    return {id(inner) for node in nodes for inner in ast.walk(node)}


def _name_in(uses, node):
    """Return the node's name if it is in `uses`, a set of (line, name); otherwise None."""
    name = getattr(node, "id", None)
    return name if name and (node.lineno, name) in uses else None


def _are_types(builtin, *sides):
    """Return whether one side is a builtin type, and the other is a builtin type or None."""
    are_types = [_name_in(builtin, side) is not None for side in sides]
    are_none = [isinstance(side, ast.Constant) and side.value is None for side in sides]
    return any(are_types) and all(map(max, are_types, are_none))


def _is_bare(node):
    """Return whether the node is a tuple that unpacks something, without parentheses."""
    if not isinstance(node, ast.Tuple) or not any(isinstance(e, ast.Starred) for e in node.elts):
        return False
    first, last = node.elts[0], node.elts[-1]
    begins = (node.lineno, node.col_offset) == (first.lineno, first.col_offset)
    ends = (node.end_lineno, node.end_col_offset) == (last.end_lineno, last.end_col_offset)
    return begins or ends
