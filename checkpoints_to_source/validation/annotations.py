"""Annotations that fail in Python 3.7, which evaluates those of arguments, results and globals."""

import ast
from collections.abc import Callable, Iterator

GENERIC = ("dict", "frozenset", "list", "set", "tuple", "type")
# Of the library: what they begin with, as all that is subscripted there is a type.
LIBRARY: tuple[str, ...] = (
    "collections.",
    "queue.",
    "weakref.",
    "contextlib.",
    "concurrent.futures.",
    "asyncio.",
)
LIBRARY += ("re.Pattern", "re.Match", "os.PathLike", "os.DirEntry")


def parametrised(name: str) -> tuple[str, str] | None:
    """`(what, mend)` of the subscripted type `name`, dotted, that Python 3.7 takes for none
    with parameters; None for others."""
    if name in GENERIC or name is not None and name.startswith(LIBRARY):
        return f"needs Python 3.9 ({name}[...])", "use the one of typing"
    return None


def annotation_faults(
    tree: ast.Module, named: Callable[[ast.AST], str | None]
) -> Iterator[tuple[int, str, str]]:
    """`(line, what, mend)` of each; none with `from __future__ import annotations`.

    Args:
        tree: of syntax.
        named: tells the dotted name of an imported thing, None of others.
    """
    if any(
        isinstance(node, ast.ImportFrom)
        and node.module == "__future__"
        and any(item.name == "annotations" for item in node.names)
        for node in tree.body
    ):
        return
    for annotation in _evaluated(tree, is_function=False):
        for node in ast.walk(annotation):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
                yield node.lineno, "needs Python 3.10 (X | Y as a type)", "use typing.Union"
            elif isinstance(node, ast.Subscript):
                fault = parametrised(named(node.value) or getattr(node.value, "id", None))
                if fault:
                    yield node.lineno, *fault


def _evaluated(node, is_function):
    """Annotations below a node; those of a function's own variables are never evaluated."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.AnnAssign) and not is_function:
            yield child.annotation
        elif isinstance(child, ast.arg) and child.annotation:
            yield child.annotation
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)) and child.returns:
            yield child.returns
        inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield from _evaluated(child, inside or is_function and not isinstance(child, ast.ClassDef))
