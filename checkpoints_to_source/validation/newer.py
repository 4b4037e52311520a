"""What Python 3.7 lacks and its parser's later versions let through."""

import ast

from checkpoints_to_source.validation.annotations import GENERIC
from checkpoints_to_source.validation.scopes import unbound


def newer_faults(tree):
    """``(line, what, mend)`` of each: unpacking without parentheses, and types with parameters
    outside of annotations, which :mod:`.annotations` looks at."""
    builtin = set(unbound(tree, GENERIC))
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
            if id(node) not in annotated and (node.lineno, name) in builtin:
                what = f"needs Python 3.9 ({name}[...])"
                yield node.lineno, what, "use the one of typing"


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
