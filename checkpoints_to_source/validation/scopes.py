"""Where a module uses builtins, for all the names that it binds itself."""

import ast

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SCOPES = (*FUNCTIONS, *COMPREHENSIONS, ast.ClassDef, ast.Lambda)


def unbound(scope, names):
    """``(line, name)`` of each use of one of ``names`` that no scope around it binds.

    Args:
        scope: of syntax, at first the module.
        names: of builtins.
    """
    own = set(names) - _bound(scope)
    inner = set(names) if isinstance(scope, ast.ClassDef) else own  # methods do not see its names
    return _uses(scope, own, inner)


def uses(module, names):
    """``(line, name)`` of each use of one of a module's own ``names``, those of inner scopes that
    bind the name themselves left out."""
    return _uses(module, names, names)


def _uses(scope, own, inner):
    """Of the names ``own`` in the scope itself, and of ``inner`` in those inside it."""
    for node in _below(scope):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in own:
            yield node.lineno, node.id
        if isinstance(node, SCOPES):
            yield from unbound(node, inner)


def _below(scope):
    """All nodes of a scope, those of the scopes inside it left out but for their heads."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, SCOPES):
            yield from _below(child)


def _bound(scope):
    """Names that a scope binds: by assignment, as arguments, by definitions and imports."""
    names, foreign = set(), set()
    for node in _below(scope):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.ExceptHandler)) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            foreign.update(node.names)
    return names - foreign
