"""Resolve the names of a module: builtins, imports, or its own definitions."""

import ast
from collections.abc import Collection, Iterator

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
ASSIGNMENTS = (ast.Assign, ast.AnnAssign)  # an AnnAssign may have no value
SCOPES = (*FUNCTIONS, *COMPREHENSIONS, ast.ClassDef, ast.Lambda)


def unbound(scope: ast.AST, names: Collection[str]) -> Iterator[tuple[int, str]]:
    """Yield `(line, name)` of each use of a builtin in `names` that no enclosing scope binds.

    `scope` is the module, or a scope in it.
    """
    own = set(names) - _bound(scope)
    inner = names if isinstance(scope, ast.ClassDef) else own  # methods don't see the class's names
    for node in below(scope):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in own:
            yield node.lineno, node.id
        if isinstance(node, SCOPES):
            yield from unbound(node, inner)


def origins(scope: ast.AST, inherited: dict[str, str] | None = None) -> dict[int, str]:
    """Return `id(node) -> dotted name` of each name bound to an imported object.

    The binding is an import, or follows from one through plain assignments.

    Args:
        scope: the module, or a scope in it.
        inherited: name -> dotted name, of the enclosing scopes.
    """
    bound = _bound(scope)
    around = {name: origin for name, origin in (inherited or {}).items() if name not in bound}
    own = {name: origin for node in below(scope) for name, origin in imported(node)}
    visible, found = None, {}
    while visible != (visible := {**around, **own}):  # repeat until assignments add no name
        found = {
            id(node): visible[node.id]
            for node in below(scope)
            if isinstance(node, ast.Name) and node.id in visible
        }
        for node in below(scope):
            if isinstance(node, ASSIGNMENTS) and node.value:
                if origin := dotted(node.value, found):
                    own.update(dict.fromkeys(assigned(node), origin))
    passed = around if isinstance(scope, ast.ClassDef) else visible
    for node in below(scope):
        if isinstance(node, SCOPES):
            found.update(origins(node, passed))
    return found


def dotted(node: ast.AST, found: dict[int, str]) -> str | None:
    """Return `numpy.load` for `np.load` and `getattr(np, "load")`.

    Return None for nodes other than imported names and their attributes. `found` is the result of
    `origins`.
    """
    if isinstance(node, ast.Name):
        return found.get(id(node))
    base, name = attribute(node)
    inner = name and dotted(base, found)
    return inner and f"{inner}.{name}"


def attribute(node: ast.AST) -> tuple:
    """Return `(x, "y")` for `x.y` and `getattr(x, "y")`, `(None, None)` for other nodes."""
    if isinstance(node, ast.Attribute):
        return node.value, node.attr
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "getattr":
        name = node.args[1] if len(node.args) > 1 else None
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            return node.args[0], name.value
    return None, None


def assigned(node: ast.AST) -> list[str]:
    """Return the names to which a statement assigns its whole value."""
    targets = [node.target] if isinstance(node, ast.AnnAssign) and node.value else []
    targets += getattr(node, "targets", [])
    return [target.id for target in targets if isinstance(target, ast.Name)]


def bindings(scope: ast.AST) -> Iterator[tuple]:
    """Yield `(node, names, is_own)` of each import and assignment in `scope` and inner scopes.

    `is_own` is False if the names belong to a class or, by `global` or `nonlocal`, to an outer
    scope.
    """
    foreign = _foreign(scope)
    for node in below(scope):
        is_assignment = isinstance(node, ASSIGNMENTS)
        names = assigned(node) if is_assignment else [name for name, _ in imported(node)]
        if names:
            yield node, names, not isinstance(scope, ast.ClassDef) and foreign.isdisjoint(names)
        if isinstance(node, SCOPES):
            yield from bindings(node)


def imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield `(name, dotted name)` of each name that an import binds; nothing for other nodes."""
    if isinstance(node, ast.Import):
        for item in node.names:
            root = item.name.partition(".")[0]
            yield (item.asname, item.name) if item.asname else (root, root)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        for item in node.names:
            yield item.asname or item.name, f"{node.module}.{item.name}"


def below(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield all nodes of a scope, but only the root of each inner scope."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, SCOPES):
            yield from below(child)


def _bound(scope):
    """Return the names that a scope binds: assignments, arguments, definitions and imports."""
    names = set()
    for node in below(scope):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef, ast.ExceptHandler)) and node.name:
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name.partition(".")[0])
    return names - _foreign(scope)


def _foreign(scope):
    """Return the names that belong to an outer scope by `global` or `nonlocal`."""
    statements = (node for node in below(scope) if isinstance(node, (ast.Global, ast.Nonlocal)))
    return {name for statement in statements for name in statement.names}
