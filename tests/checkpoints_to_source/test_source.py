"""Static checks of a train.py, one fault at a time."""

import pytest

from checkpoints_to_source.validation.source import source_faults

SOUND = "import torch\n\n\ndef train(task):\n    task.test(task.state)\n"


@pytest.mark.parametrize(
    "harmless",
    [
        "",
        "def compile(x):\n    return x\n\n\ncompile(1)\n",
        "import torch.nn as nn\n\n\ndef f(model):\n    model.eval()\n    return nn.Linear(1, 1)\n",
        "def f(x: 'list[int]'):\n    y: list[int] = []\n    return y\n",
        "import os, math, time, pickle\nC = os.cpu_count()\nW = pickle.loads(b'N.')\n",
        "def f(pairs):\n    return [input + open for input, open in pairs]\n",
        "import functools\ntrain: object = functools.partial(train)\n",
        "def f(y):\n    for x in (1, *y):\n        yield (x, *y)\n    return (1, *y)\n",
        "import collections\nC = collections.Counter()\nC['a'] += C['b'] | 1\n",
        "from collections import deque\n\n\ndef f(deque):\n    return deque[0]\n",
        "from concurrent import futures\n\n\ndef f():\n    futures = [1]\n    return futures[0]\n",
        "import os\nHOME = os.environ['HOME']\nFLAGS = os.O_RDONLY | os.O_CREAT\n",
        "class C:\n    open = False\n\n    def f(self):\n        self.open = not self.open\n",
        "import io\nwith io.BytesIO() as b:\n    torch.save([1], b)\n    torch.load(b)\n",
        "import io, numpy as np\nb = io.BytesIO()\nnp.save(b, np.ones(1))\nnp.load(file=b)\n",
        "from multiprocessing import cpu_count\nC = cpu_count()\n",
        "nn = torch.nn\n\n\ndef f():\n    F = nn.functional\n    return F.relu\n",
        "IS_NEW = hasattr(torch, 'compile') and getattr(torch, 'compile', None)\n",
        "class C(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n",
        "def f(x):\n    return type(x).__name__, x.__dict__, vars(x), x.__class__.__mro__\n",
        "__version__ = '1'\nTEXT = __version__ + __name__ + torch.__version__\n",
        "import collections.abc, os.path\nP = os.path.join('a', 'b')\nM = collections.abc.Set\n",
        "import sys, types\nprint(1, file=sys.stderr)\nN = types.SimpleNamespace(a=sys.maxsize)\n",
        "def f(set):\n    list = [set[0]]\n    return list[0], [dict[1] for dict in ()]\n",
    ],
)
def test_harmless_code_has_no_fault(harmless):
    assert source_faults((SOUND + harmless).encode()) == []


@pytest.mark.parametrize(
    "addition, named",
    [
        ("import torchvision", "imports torchvision"),
        ("def f():\n    from pandas import DataFrame", "imports pandas"),
        ("import tomllib", "imports tomllib"),
        ("from . import weights", "relative import"),
        ("from torch import *", "star import"),
        ("import socket", "the network"),
        ("import urllib.request as u", "the network"),
        ("torch.hub.load_state_dict_from_url('x')", "the network"),
        ("open('weights')", "files"),
        ("read = open", "files"),
        ("import numpy\nread: object = numpy.load\nread('x')", "files"),
        ("class C:\n    open = 1\n\n    def f(self):\n        return open('x')", "files"),
        ("def f(open):\n    pass\n\n\nopen('x')", "files"),
        ("def f():\n    global eval\n    eval('1')", "hides"),
        ("import os\no = os\no.system('true')", "other programs"),
        ("torch.UntypedStorage.from_file('x')", "files"),
        ("from torch import load as restore", "files"),
        ("import pathlib\npathlib.Path('x').read_bytes()", "files"),
        ("getattr(torch, 'load')('weights')", "files"),
        ("getattr(torch, 'lo' + 'ad')('weights')", "hides"),
        ("from os import execv", "other programs"),
        ("import os\nos.spawnlp(0, 'true')", "other programs"),
        ("import subprocess", "other programs"),
        ("eval('1')", "hides"),
        ("__import__('so' + 'cket')", "hides"),
        ("train.__globals__['open']", "hides"),
        ("().__class__.__base__.__subclasses__()", "hides"),
        ("from torch import ctypes", "hides"),
        ("from torch import os\nos.system('true')", "other programs"),
        ("torch.builtins.exec('1')", "hides"),
        ("torch.nn.functional.torch.serialization.os.system('true')", "other programs"),
        ("torch._import_dotted_name('os.system')", "hides"),
        ("get = getattr", "hides"),
        ("getattr(getattr(torch, 'os'), 'system')('true')", "other programs"),
        ("getattr(train, '__globals__')", "hides"),
        ("name = '__globals__'\ngetattr(train, name)", "hides"),
        ("import sys\nvars(sys)['modules']", "hides"),
        ("import io\nio.__dict__['open']('x')", "files"),
        ("import operator\noperator.attrgetter('os.system')", "hides"),
        ("import os\n(lambda o: o.system('true'))(os)", "hides"),
        ("import os\n\n\nclass C:\n    o = os\n\n\nC.o.system('true')", "hides"),
        ("class C:\n    import os\n\n\nC.os.system('true')", "hides"),
        ("def f():\n    global o\n    import os as o\n\n\no.system('true')", "hides"),
        ("globals()['open']", "hides"),
        ("vars()['open']", "hides"),
        ("__builtins__.open('x')", "hides"),
        ("object.__getattribute__(train, 'x')", "hides"),
        ("def f(error):\n    return error.tb_frame", "hides"),
        ("import typing\ntyping.get_type_hints(train)", "hides"),
        ("import inspect\ninspect.currentframe()", "hides"),
        ("import string\nstring.Formatter().get_field('x', (), {})", "hides"),
        ("import io\nb = io.BytesIO()\ntorch.save([b], 'x')", "files"),
        ("import multiprocessing\nmultiprocessing.Process()", "other programs"),
        ("from concurrent.futures import ProcessPoolExecutor", "other programs"),
        ("if (n := 1):\n    pass", "not Python 3.7"),
        ("def f(x: list[int]):\n    pass", "needs Python 3.9"),
        ("def f(x) -> 'int' or dict[str, int]:\n    pass", "needs Python 3.9"),
        ("class C:\n    x: int | None = None", "needs Python 3.10"),
        ("def f(y):\n    return 1, *y", "needs Python 3.8"),
        ("def f(y):\n    yield (1), *y", "needs Python 3.8"),
        ("def f(y):\n    for x in *y, 1:\n        pass", "needs Python 3.9"),
        ("def f(x, y):\n    return x[0, *y]", "needs Python 3.11"),
        ("T = list[int]", "needs Python 3.9"),
        ("class C(dict[str, int]):\n    pass", "needs Python 3.9"),
        ("from collections.abc import Set as S\ndef f(x: S[int]):\n    pass", "needs Python 3.9"),
        ("import collections\ndef f() -> collections.deque[int]:\n    pass", "Python 3.9"),
        ("import re\nP = re.Pattern[str]", "needs Python 3.9"),
        ("Number = int | float", "needs Python 3.10"),
        ("def f(x):\n    return isinstance(x, str | None)", "needs Python 3.10"),
        ("import math\nmath.prod([1])  # novm", "needs Python 3.8"),
        ("import math\nif train:  # novm\n    math.prod([1])", "needs Python 3.8"),
        ("print 'x'", "not Python 3.7"),
        ("def train(task, more):\n    pass", "one argument"),
        ("def train(task, *, more):\n    pass", "one argument"),
        ("async def train(task):\n    pass", "no function train"),
        ("class train:\n    pass", "no function train"),
    ],
)
def test_each_fault_is_named_with_its_line(addition, named):
    faults = source_faults((SOUND + addition + "\n").encode())
    assert [named in fault.what for fault in faults].count(True) == 1, faults
    first = SOUND.count("\n") + 1
    lines = [int(fault.where.rpartition(" ")[2]) for fault in faults]
    assert all(line >= first for line in lines) and all(fault.fix for fault in faults)


def test_unevaluated_annotations_are_no_fault():
    source = "from __future__ import annotations\nfrom re import Match\n"
    source += "def train(task: Match[str] | int):\n    pass\n"
    assert source_faults(source.encode()) == []


def test_too_deep_nesting_is_named():
    (fault,) = source_faults((SOUND + "x = " + "+".join("1" * 900) + "\n").encode())
    assert "nested too deeply" in fault.what


@pytest.mark.parametrize("optional", ["task, more=1", "task=None", "*tasks"])
def test_optional_arguments_are_no_fault(optional):
    assert source_faults(f"def train({optional}):\n    pass\n".encode()) == []


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"x = '\xe9'\n", b"\x00"])
def test_binary_source_is_named(content):
    (fault,) = source_faults(content)
    assert "is not Python" in fault.what


def test_code_must_not_look_like_a_comment():
    hidden = SOUND + "# harmless +AAo-X = 1\n"
    (fault,) = source_faults(b"# coding: utf-7\n" + hidden.encode())
    assert "is not Python in UTF-8 (it declares utf-7)" in fault.what
    assert source_faults(b"# coding: utf-8\n" + hidden.encode()) == []


@pytest.mark.parametrize("one", ["\r", "\x1b", "\u200b", "\u202e", "\u2028"])
def test_characters_that_cannot_be_seen_are_named(one):
    (fault,) = source_faults(f"{SOUND}# harmless{one}X = 1\n".encode())
    assert "cannot be seen" in fault.what and fault.where.endswith("line 6")


def test_line_ends_of_any_system_are_no_fault():
    assert source_faults(("\ufeff" + SOUND.replace("\n", "\r\n") + "\f\t# é\r\n").encode()) == []
