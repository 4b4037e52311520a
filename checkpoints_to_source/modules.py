"""Parse one module's source: its imports, its definitions, and the remaining text.

A joined file has one namespace and no package, so only simple modules can be joined. Imports must
be absolute and at the top level, and imports from the package must have the form
`from package.module import name`. Errors name the line to fix.
"""

import ast
import symtable
import sys
from dataclasses import dataclass
from typing import NamedTuple

PYTHON = (3, 7)  # the challenge's version
LIBRARIES = frozenset({"numpy", "scipy", "torch"})  # installed there, besides the standard library
NEWER = frozenset({"graphlib", "tomllib", "zoneinfo", "annotationlib", "compression"})  # not in 3.7


class Target(NamedTuple):
    """Where a joined file has to run."""

    who: str  # its name in messages
    python: tuple = PYTHON
    libraries: frozenset = LIBRARIES  # besides the standard library
    optional: frozenset = frozenset()  # may be missing, so only functions may import them

    @property
    def version(self) -> str:
        """The Python version, as text."""
        return ".".join(map(str, self.python))

    def lacks(self, module: str) -> bool:
        """Return whether the module is in neither its libraries nor its standard library."""
        root = module.partition(".")[0]
        is_standard = root in sys.stdlib_module_names and root not in NEWER
        return root not in self.libraries and not is_standard

    @property
    def offer(self) -> str:
        """What a file may import there, as text for messages."""
        libraries = ", ".join(sorted(self.libraries))
        return f"{libraries} and the standard library of Python {self.version}"


CHALLENGE = Target("the challenge")
USER = Target("a user", (3, 9), frozenset({"torch"}), frozenset({"safetensors"}))


class SourceError(ValueError):
    """Source that can't be joined. The one-line message names the module and the fix."""


class Import(NamedTuple):
    """`import module [as alias]`, or `from module import name [as alias]`."""

    module: str
    name: str = ""
    alias: str = ""

    @property
    def binds(self) -> str:
        """The name that the import defines."""
        return self.alias or self.name or self.module.partition(".")[0]

    @property
    def origin(self) -> str:
        """The dotted name of what the import binds: `import a.b` binds `a`."""
        if self.name:
            return f"{self.module}.{self.name}"
        return self.module if self.alias else self.binds


@dataclass(frozen=True)
class Module:
    """A parsed module."""

    name: str  # as in messages
    docstring: str  # verbatim with its quotes; empty without one
    features: frozenset[str]  # names imported from `__future__`
    imports: tuple[Import, ...]  # from outside the package
    needs: dict[str, str]  # name imported from the package -> its module
    defines: frozenset[str]  # top-level names except imports
    body: str  # text without docstring, top-level imports, `__all__` and main guard


def read_module(name: str, source: str, package: str, target: Target = CHALLENGE) -> Module:
    """Parse the text `source`; `package` is the package to join.

    Raise SourceError if the source needs a newer Python than the target's, imports modules that the
    target lacks, or uses a form that does not work in a joined file.
    """
    try:
        tree = ast.parse(source, feature_version=target.python)
    except SyntaxError as error:
        raise SourceError(
            f"{name}, line {error.lineno}: not Python {target.version} ({error.msg}); rewrite it"
        ) from None
    has_docstring = ast.get_docstring(tree, clean=False) is not None
    dropped, features, imports, needs = [], set(), [], {}
    for position, statement in enumerate(tree.body):
        if (position == 0 and has_docstring) or _is_left_out(statement, name):
            dropped.append(statement)
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            dropped.append(statement)
            for item in _imports(statement, name):
                if item.module == "__future__":
                    features.add(item.name)
                elif _root(item.module) == package:
                    needs[item.name] = _needed_module(item, statement, name)
                else:
                    imports.append(item)
        else:
            _check_nested_imports(statement, name, package, target)
    for item in imports:
        _check_available(item, name, target)
    body = _without(source, tree.body, dropped, name)
    return Module(
        name,
        ast.get_source_segment(source, tree.body[0]) if has_docstring else "",
        frozenset(features),
        tuple(imports),
        needs,
        frozenset(_assigned(symtable.symtable(body, name, "exec"))),
        body,
    )


def _is_left_out(statement, name):
    """Return whether the statement is useless in a joined file: `__all__` or the main guard."""
    if isinstance(statement, ast.Assign):
        return [ast.unparse(target) for target in statement.targets] == ["__all__"]
    if not isinstance(statement, ast.If) or ast.unparse(statement.test) != "__name__ == '__main__'":
        return False
    if statement.orelse:
        raise _error(name, statement, "the main guard has an else branch; remove it")
    return True


def _imports(statement, name):
    if isinstance(statement, ast.Import):
        return [Import(item.name, alias=item.asname or "") for item in statement.names]
    if statement.level:
        raise _error(name, statement, "relative import; write `from package.module import name`")
    if any(item.name == "*" for item in statement.names):
        raise _error(name, statement, "star import; name what is imported")
    return [Import(statement.module, item.name, item.asname or "") for item in statement.names]


def _needed_module(item, statement, name):
    """Return the package's module that `item` imports from. Raise SourceError for other forms."""
    if not item.name or item.alias or "." not in item.module:
        package = _root(item.module)
        form = f"`from {package}.module import name`, without `as`"
        raise _error(name, statement, f"in a joined file no module is left; write {form}")
    return item.module


def _check_nested_imports(statement, name, package, target):
    for node in ast.walk(statement):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        for item in _imports(node, name):
            if _root(item.module) == package:
                raise _error(name, node, f"nested import from {package}; move it to the top level")
            if _root(item.module) not in target.optional:
                _check_available(item, name, target)


def _check_available(item, name, target):
    if target.lacks(item.module):
        what = f"imports {item.module}, which {target.who} lacks"
        raise SourceError(f"{name}: {what}; use {target.offer}")


def _without(source, statements, dropped, name):
    """Return the source without the dropped statements and the blank lines after them."""
    for before, after in zip(statements, statements[1:], strict=False):
        if after.lineno == before.end_lineno:
            raise _error(name, after, "two statements on one line; put each on its own")
    lines = source.split("\n")
    for statement in reversed(dropped):
        end = statement.end_lineno
        while end < len(lines) and not lines[end].strip():
            end += 1
        del lines[statement.lineno - 1 : end]
    return "\n".join(lines).strip("\n")


def _assigned(table):
    """Yield the global names that the module's code binds, including those bound in functions."""
    for symbol in table.get_symbols():
        is_global = table.get_type() == "module" or symbol.is_declared_global()
        if is_global and (symbol.is_assigned() or symbol.is_imported()):
            yield symbol.get_name()
    for child in table.get_children():
        yield from _assigned(child)


def _root(module):
    return module.partition(".")[0]


def _error(name, node, message):
    return SourceError(f"{name}, line {node.lineno}: {message}")
