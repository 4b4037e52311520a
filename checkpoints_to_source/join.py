"""Join a script and the package modules that it imports into one self-contained file.

Modules are in dependency order, each after a comment with its name and docstring. Imports from
outside the package are merged at the top. All modules share one namespace, so a name must have one
meaning, and must not hide a builtin that another module uses.
"""

import ast
import builtins
import inspect
import sys
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from checkpoints_to_source.modules import CHALLENGE, Import, SourceError, Target, read_module

WIDTH = 100


class Joined(NamedTuple):
    """A self-contained file."""

    source: str
    modules: tuple[str, ...]  # names of the joined modules, in order


def join(
    script: str,
    package_dir: Path,
    script_name: str = "script",
    target: Target = CHALLENGE,
    instead: Mapping[str, str] | None = None,
) -> Joined:
    """Return the text `script` joined with the modules it needs from the folder `package_dir`.

    The script's docstring becomes the file's. Equal inputs give equal bytes.

    Args:
        target: where the file has to run.
        instead: module name -> source that replaces the module's own.

    Raise SourceError, with a one-line message, for whatever `read_module` refuses, missing modules
    and names, import cycles, and names with two meanings.
    """
    main = read_module(script_name, script, package_dir.name, target)
    modules = _in_order(_reachable(main, package_dir, target, instead or {}))
    _check_needed_names(modules + [main], {module.name: module for module in modules})
    _check_namespace(modules + [main])
    head = [main.docstring, _merged_imports(modules + [main])]
    parts = ["\n\n".join(part for part in head if part)]
    parts += [f"{_banner(module)}\n\n{module.body}" for module in modules]
    parts.append(main.body)
    source = "\n\n\n".join(part for part in parts if part) + "\n"
    return Joined(source, tuple(module.name for module in modules))


def _reachable(main, package_dir, target, instead):
    """Return all modules that the script needs, directly or indirectly, by name."""
    found, waiting = {}, [(main.name, name) for name in main.needs.values()]
    while waiting:
        importer, name = waiting.pop()
        if name in found:
            continue
        path = package_dir.parent.joinpath(*name.split(".")).with_suffix(".py")
        if name not in instead and not path.is_file():
            raise SourceError(f"{importer}: imports {name}, but there is no file {path}")
        source = instead[name] if name in instead else path.read_text(encoding="utf-8")
        found[name] = read_module(name, source, package_dir.name, target)
        waiting += [(name, needed) for needed in found[name].needs.values()]
    return found


def _in_order(modules):
    """Return the modules in dependency order, ties sorted by name."""
    graph = {name: sorted(set(modules[name].needs.values())) for name in sorted(modules)}
    try:
        return [modules[name] for name in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        raise SourceError(f"import cycle {cycle}; move what they share to a third module") from None


def _check_needed_names(modules, by_name):
    for module in modules:
        for name, source in module.needs.items():
            if name not in by_name[source].defines:
                raise SourceError(
                    f"{module.name}: imports {name} from {source}, which does not define it; "
                    "import it from where it is defined"
                )


def _check_namespace(modules):
    owners = {}  # name -> (its meaning, the first module that defines it)
    for module in modules:
        meanings = [(item.binds, item.origin) for item in module.imports]
        meanings += [(name, f"{module.name}:{name}") for name in sorted(module.defines)]
        for name, meaning in meanings:
            known, owner = owners.setdefault(name, (meaning, module.name))
            if known != meaning:
                raise SourceError(
                    f"{owner} and {module.name} both define {name}; rename one of the two"
                )
            if hasattr(builtins, name):
                raise SourceError(f"{module.name}: {name} hides the builtin; rename it")


def _merged_imports(modules):
    """Return the import statements: `__future__`, the standard library, then the rest."""
    features = set().union(*(module.features for module in modules))
    items = {item for module in modules for item in module.imports}
    standard = {item for item in items if item.module.partition(".")[0] in sys.stdlib_module_names}
    groups = [{Import("__future__", name) for name in features}, standard, items - standard]
    return "\n\n".join("\n".join(_import_lines(group)) for group in groups if group)


def _import_lines(items):
    for item in sorted(item for item in items if not item.name):
        yield f"import {_aliased(item.module, item.alias)}"
    for module in sorted({item.module for item in items if item.name}):
        named = sorted(item for item in items if item.module == module and item.name)
        texts = [_aliased(item.name, item.alias) for item in named]
        line = f"from {module} import {', '.join(texts)}"
        if len(line) > WIDTH:
            line = f"from {module} import (\n" + "".join(f"    {text},\n" for text in texts) + ")"
        yield line


def _aliased(name, alias):
    return f"{name} as {alias}" if alias else name


def _banner(module):
    """Return the module's name and docstring as a comment: a string in mid-file has no effect."""
    title = f"# ---- {module.name} "
    lines = [title + "-" * (WIDTH - len(title))]
    if module.docstring:
        text = inspect.cleandoc(ast.literal_eval(module.docstring))
        lines += [f"# {line}".rstrip() for line in text.splitlines()]
    return "\n".join(lines)
