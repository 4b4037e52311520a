"""The subpackages of evaluate only import downwards."""

import ast
from pathlib import Path

import evaluate

ROOT = Path(evaluate.__file__).parent
#: Subpackage -> others that it may import, besides itself and the modules beside them.
BELOW = {
    "": set(),
    "sandbox": set(),
    "peers": set(),
    "score": {"peers", "sandbox"},
    "run": {"score", "peers", "sandbox"},
    "show": {"score", "peers", "sandbox"},
}
ON_TOP = {"cli.py", "__main__.py"}


def _imported_rooms(source: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(source)))
    names = [name.name for node in nodes if isinstance(node, ast.Import) for name in node.names]
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "evaluate":
            names += [f"{node.module}.{name.name}" for name in node.names]
    parts = [name.split(".") for name in names if name.startswith("evaluate.")]
    return {part[1] for part in parts if (ROOT / part[1]).is_dir()}


def test_subpackages_import_only_downwards():
    wrong = []
    for path in ROOT.rglob("*.py"):
        relative = path.relative_to(ROOT)
        room = relative.parts[0] if len(relative.parts) > 1 else ""
        if str(relative) not in ON_TOP:
            upwards = _imported_rooms(path.read_text()) - BELOW[room] - {room}
            wrong += [f"{relative} imports {other}" for other in upwards]
    assert wrong == []
