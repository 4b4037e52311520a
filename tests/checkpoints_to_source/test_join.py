"""The rules for joining modules, on a small package."""

import ast
import textwrap

import pytest

from checkpoints_to_source.join import join
from checkpoints_to_source.modules import SourceError, Target

SCRIPT = '"""Script."""\n\nfrom pack.main import run\n\nresult = run()\n'


@pytest.fixture
def package(tmp_path):
    """Return a function that writes modules of the package `pack` and returns its folder."""

    def write(**modules):
        folder = tmp_path / "pack"
        folder.mkdir(exist_ok=True)
        for name, source in modules.items():
            (folder / f"{name}.py").write_text(textwrap.dedent(source).lstrip("\n"))
        return folder

    return write


def executed(source):
    namespace = {"__name__": "joined"}
    exec(compile(source, "joined.py", "exec"), namespace)
    return namespace


def top_imports(source):
    kinds = (ast.Import, ast.ImportFrom)
    return [ast.unparse(s) for s in ast.parse(source).body if isinstance(s, kinds)]


def test_modules_are_in_dependency_order_and_run_without_the_package(package):
    folder = package(
        main="from pack.b import g\nfrom pack.a import f\n\ndef run():\n    return f() + g()\n",
        b="from pack.a import f\nfrom pack.c import ONE\n\ndef g():\n    return 10 * f() + ONE\n",
        a="from pack.c import ONE\n\ndef f():\n    local = 2\n    return local * ONE\n",
        c="ONE = 1\n",
        unused="raise AssertionError\n",
    )
    joined = join(SCRIPT, folder)
    assert joined.modules == ("pack.c", "pack.a", "pack.b", "pack.main")
    assert executed(joined.source)["result"] == 23
    assert ast.get_docstring(ast.parse(joined.source)) == "Script."
    assert "from pack" not in joined.source
    assert join(SCRIPT, folder) == joined


def test_imports_are_merged_at_the_top(package):
    folder = package(
        main="""
            from __future__ import annotations
            import torch
            import numpy as np
            from typing import List, Optional
            import math
            from pack.a import f

            def run(x: Undefined = 0) -> List[Optional[int]]:
                return f()
            """,
        a="""
            import os.path
            import os
            from typing import NamedTuple, List
            import torch, math
            import torch.nn.functional as F

            def f():
                return os.path.join("a", "b")
            """,
    )
    source = join(SCRIPT, folder).source
    assert top_imports(source) == [
        "from __future__ import annotations",
        "import math",
        "import os",
        "import os.path",
        "from typing import List, NamedTuple, Optional",
        "import numpy as np",
        "import torch",
        "import torch.nn.functional as F",
    ]
    kinds = [type(s) in (ast.Import, ast.ImportFrom) for s in ast.parse(source).body[1:]]
    assert kinds == sorted(kinds, reverse=True)
    assert executed(source)["result"] == "a/b"


def test_long_imports_are_wrapped(package):
    names = ", ".join(sorted(n for n in dir(ast) if n.startswith("A") or n.startswith("B")))
    source = join(SCRIPT, package(main=f"from ast import {names}\n\ndef run():\n    pass\n")).source
    assert all(len(line) <= 100 for line in source.splitlines())
    assert top_imports(source) == [f"from ast import {names}"]


def test_code_comments_and_docstrings_are_kept_verbatim(package):
    body = textwrap.dedent('''
        # before
        def run():
            """Docstring.

            Second line.
            """
            text = """
        import math  # in a string


        kept = "\\t"
        """
            return text  # after

        LAST = 1  # comment''').strip("\n")
    docstring = '"""Main \\\\ module.\n\n    Indented.\n"""'
    folder = package(main=f"{docstring}\n\nimport math\n\n{body}\n\n\n")
    source = join(SCRIPT, folder).source
    assert body in source
    assert "# Main \\ module.\n#\n# " in source
    assert "# ---- pack.main ---" in source
    assert "import math  # in a string" in executed(source)["result"]


def test_main_guard_and_all_are_left_out(package):
    folder = package(
        main="""
            __all__ = ["run"]

            def run():
                return 1

            if __name__ == "__main__":
                import sys
                sys.exit(run())
            """
    )
    source = join(SCRIPT, folder).source
    assert "__all__" not in source and "__main__" not in source
    assert executed(source)["result"] == 1


RUN = "\ndef run():\n    return 0\n"


@pytest.mark.parametrize(
    "line, message",
    [
        ("import pack.a", "line 1: in a joined file no module is left"),
        ("from pack import a", "no module is left"),
        ("from pack.a import f as g", "without `as`"),
        ("from pack.a import *", "star import"),
        ("from . import a", "relative import"),
        ("from pack.none import f", "no file"),
        ("from pack.a import missing", "pack.a, which does not define it"),
        ("from pack.a import math", "pack.a, which does not define it"),
        ("import safetensors", "pack.main: imports safetensors, which the challenge lacks"),
        ("import tomllib", "imports tomllib"),
        ("try:\n    import rich\nexcept ImportError:\n    pass", "imports rich"),
        ("def late():\n    from pack.a import f", "line 2: nested import from pack"),
        ("x = 1; import math", "two statements on one line"),
        ("if (y := 1):\n    pass", "line 1: not Python 3.7"),
        ("def h(:", "not Python 3.7"),
        ("if __name__ == '__main__':\n    pass\nelse:\n    y = 1", "else branch"),
        ("from pack.cycle import back", "import cycle pack."),
    ],
)
def test_unjoinable_code_is_refused(package, line, message):
    folder = package(
        main=line + RUN,
        a="import math\n\ndef f():\n    return math.pi\n",
        cycle="from pack.main import run\n\ndef back():\n    return run\n",
    )
    with pytest.raises(SourceError) as caught:
        join(SCRIPT, folder)
    assert message in str(caught.value) and "\n" not in str(caught.value)


COLLISIONS = [
    "def twice():\n    pass",
    "twice = 1",
    "twice: int = 1",
    "for twice in [1]:\n    pass",
    "try:\n    import math as twice\nexcept ImportError:\n    pass",
    "from math import pi as twice",
    "a, (twice, b) = 1, (2, 3)",
    "def setter():\n    global twice\n    twice = 1",
]


@pytest.mark.parametrize("line", COLLISIONS)
def test_ambiguous_name_is_refused(package, line):
    other = "twice = 0\n\ndef f():\n    pass\n"
    folder = package(main=f"from pack.a import f\n{line}\n{RUN}", a=other)
    with pytest.raises(SourceError, match="pack.a and pack.main both define twice"):
        join(SCRIPT, folder)


def test_script_shares_the_namespace(package):
    folder = package(main=f"result = 0\n{RUN}")
    with pytest.raises(SourceError, match="pack.main and my script both define result"):
        join(SCRIPT, folder, "my script")


@pytest.mark.parametrize("line", ["def sum(x):\n    return x", "from numpy import abs"])
def test_hiding_a_builtin_is_refused(package, line):
    with pytest.raises(SourceError, match="pack.main: (sum|abs) hides the builtin"):
        join(SCRIPT, package(main=f"{line}\n{RUN}"))


def test_target_has_its_own_python_and_libraries(package):
    newer = Target("a user", (3, 9), frozenset({"torch"}), frozenset({"rich"}))
    late = "def late():\n    import rich\n    return rich\n"
    folder = package(main=f"if (one := 1):\n    pass\n{late}{RUN}")
    assert executed(join(SCRIPT, folder, target=newer).source)["one"] == 1
    for line, message in (
        ("import numpy", "imports numpy, which a user lacks; use torch and the standard library"),
        ("import rich", "imports rich"),
        ("match 1:\n    case 1:\n        pass", "not Python 3.9"),
    ):
        with pytest.raises(SourceError, match=message):
            join(SCRIPT, package(main=f"{line}\n{RUN}"), target=newer)


def test_module_may_be_replaced(package):
    folder = package(
        main="from pack.data import NUMBERS\n\ndef run():\n    return NUMBERS\n",
        data="from pack.reader import read\n\nNUMBERS = read()\n",
        reader="raise AssertionError\n",
    )
    joined = join(SCRIPT, folder, instead={"pack.data": "NUMBERS = [1, 2]\n"})
    assert joined.modules == ("pack.data", "pack.main")
    assert executed(joined.source)["result"] == [1, 2]
