"""What a module's names stand for: builtins, imports, or what it binds itself."""

import ast
from collections.abc import Iterable, Iterator

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
ASSIGNMENTS = (ast.Assign, ast.AnnAssign)  # the latter may have no value
SCOPES = (*FUNCTIONS, *COMPREHENSIONS, ast.ClassDef, ast.Lambda)


def unbound(scope: ast.AST, names: Iterable[str]) -> Iterable[tuple[int, str]]:
    """`(line, name)` of each use of one of `names` that no scope around it binds.

    Args:
        scope: of syntax, at first the module.
        names: of builtins.
    """
    own = set(names) - _bound(scope)
    inner = set(names) if isinstance(scope, ast.ClassDef) else own  # methods do not see its names
    return _uses(scope, own, inner)


def uses(module: ast.Module, names: Iterable[str]) -> Iterable[tuple[int, str]]:
    """`(line, name)` of each use of one of a module's own `names`, those of inner scopes that
    bind the name themselves left out."""
    return _uses(module, names, names)


def origins(scope: ast.AST, inherited: dict[str, str] | None = None) -> dict[int, str]:
    """`id(node) -> dotted name` of each name that stands for something imported, at first or
    after plain assignments.

    Args:
        scope: of syntax, at first the module.
        inherited: name -> dotted name, in the scopes around it.
    """
    bound = _bound(scope)
    around = {k: v for k, v in (inherited or {}).items() if k not in bound}
    own = {name: origin for node in _below(scope) for name, origin in _imported(node)}
    visible, found = None, {}
    while visible != (visible := {**around, **own}):
        found = {
            id(node): visible[node.id]
            for node in _below(scope)
            if isinstance(node, ast.Name) and node.id in visible
        }
        for node in _below(scope):
            if isinstance(node, ASSIGNMENTS) and node.value:
                origin = dotted(node.value, found)
                own.update(dict.fromkeys(assigned(node), origin) if origin else {})
    passed = around if isinstance(scope, ast.ClassDef) else visible
    for node in _below(scope):
        if isinstance(node, SCOPES):
            found.update(origins(node, passed))
    return found


def dotted(node: ast.AST, found: dict[int, str]) -> str | None:
    """`numpy.load` for `np.load` and `getattr(np, "load")`; None for what is not an attribute
    of an imported name. `found` as `origins` returns it."""
    if isinstance(node, ast.Name):
        return found.get(id(node))
    base, name = attribute(node)
    inner = name and dotted(base, found)
    return inner and f"{inner}.{name}"


def attribute(node: ast.AST) -> tuple:
    """`(x, "y")` of `x.y` and of `getattr(x, "y")`; `(None, None)` of all else."""
    if isinstance(node, ast.Attribute):
        return node.value, node.attr
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "getattr":
        name = node.args[1] if len(node.args) > 1 else None
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            return node.args[0], name.value
    return None, None


def assigned(node: ast.AST) -> list[str]:
    """Names that a statement assigns to, each the whole value."""
    targets = [node.target] if isinstance(node, ast.AnnAssign) and node.value else []
    targets += getattr(node, "targets", [])
    return [target.id for target in targets if isinstance(target, ast.Name)]


def bindings(scope: ast.AST) -> Iterator[tuple]:
    """`(node, names, is_own)` of each import and assignment of a module's scopes; `is_own`
    tells whether the names are a function's or the module's own."""
    below = list(_below(scope))
    elsewhere = (node.names for node in below if isinstance(node, (ast.Global, ast.Nonlocal)))
    foreign = {name for names in elsewhere for name in names}
    for node in below:
        names = [name for name, _ in _imported(node)]
        if isinstance(node, ASSIGNMENTS):
            names = assigned(node)
        if names:
            yield node, names, not isinstance(scope, ast.ClassDef) and foreign.isdisjoint(names)
        if isinstance(node, SCOPES):
            yield from bindings(node)


def _imported(node):
    """`(name, dotted name)` of what an import binds."""
    if isinstance(node, ast.Import):
        for item in node.names:
            root = item.name.partition(".")[0]
            yield (item.asname, item.name) if item.asname else (root, root)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        for item in node.names:
            yield item.asname or item.name, f"{node.module}.{item.name}"


def _uses(scope, own, inner):
    """Of the names `own` in the scope itself, and of `inner` in those inside it."""
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
