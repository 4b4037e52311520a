"""What Python 3.7 lacks and its parser's later versions let through."""

import ast
from collections.abc import Callable, Iterator

from checkpoints_to_source.validation.annotations import GENERIC, parametrised
from checkpoints_to_source.validation.scopes import unbound, uses

TYPES = (*GENERIC, "bool", "bytes", "bytearray", "complex", "float", "int", "object", "str")


def newer_faults(
    tree: ast.Module, named: Callable[[ast.AST], str | None]
) -> Iterator[tuple[int, str, str]]:
    """`(line, what, mend)` of each: unpacking without parentheses, and types with parameters and
    unions of types outside of annotations, which `.annotations` looks at. `named` as there.
    """
    builtin = set(unbound(tree, TYPES))
    types = builtin | set(uses(tree, _imported_types(tree, named)))
    annotated = {id(inner) for outer in _annotations(tree) for inner in ast.walk(outer)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Return, ast.Yield)) and _is_bare(node.value):
            yield node.lineno, "needs Python 3.8 (unpacking without parentheses)", "add them"
        elif isinstance(node, ast.For) and _is_bare(node.iter):
            yield node.lineno, "needs Python 3.9 (unpacking without parentheses)", "add them"
        elif isinstance(node, ast.Subscript):
            if _is_bare(node.slice):
                yield node.lineno, "needs Python 3.11 (unpacking in an index)", "use a tuple"
            name = getattr(node.value, "id", None)
            is_type = name is None or (node.lineno, name) in types
            fault = parametrised(named(node.value) or name)
            if fault and is_type and id(node) not in annotated:
                yield node.lineno, *fault
        elif isinstance(node, ast.BinOp) and id(node) not in annotated:
            if _is_union(node, builtin):
                what = "needs Python 3.10 (X | Y of types)"
                yield node.lineno, what, "use a tuple or typing.Union"


def _imported_types(tree, named):
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return {node.id for node in names if parametrised(named(node))}


def _is_union(node, builtin):
    """Whether it joins builtin types, and maybe None, by a bar."""
    sides = (node.left, node.right)
    are_types = [(side.lineno, getattr(side, "id", None)) in builtin for side in sides]
    are_none = [isinstance(side, ast.Constant) and side.value is None for side in sides]
    is_bar = isinstance(node.op, ast.BitOr)
    return is_bar and any(are_types) and all(map(max, are_types, are_none))


def _is_bare(node):
    """Whether it is a tuple that unpacks something and has no parentheses of its own."""
    if not isinstance(node, ast.Tuple) or not any(isinstance(e, ast.Starred) for e in node.elts):
        return False
    first, last = node.elts[0], node.elts[-1]
    begins = (node.lineno, node.col_offset) == (first.lineno, first.col_offset)
    ends = (node.end_lineno, node.end_col_offset) == (last.end_lineno, last.end_col_offset)
    return begins or ends


def _annotations(tree):
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            found = getattr(node, name, None)
            if found is not None:
                yield found
