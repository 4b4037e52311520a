"""The contents of wheel and sdist. `make wheel` tries the wheel in its own environment."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("learned_lr.py", "setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_{}(sys.argv[1])"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return a folder with a wheel and an sdist, built from a copy of the sources."""
    folder = tmp_path_factory.mktemp("sources")
    for name in SOURCES:
        shutil.copy(ROOT / name, folder)
    for kind in ("sdist", "wheel"):
        command = [sys.executable, "-c", BUILD.format(kind), str(folder / "dist")]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return folder / "dist"


def test_wheel_has_one_typed_module_and_requires_only_torch(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    ours = {name for name in contents if ".dist-info/" not in name}
    assert ours == {"learned_lr/__init__.py", "learned_lr/py.typed"}
    assert contents["learned_lr/__init__.py"] == (ROOT / "learned_lr.py").read_bytes()
    (metadata,) = (text.decode() for name, text in contents.items() if name.endswith("/METADATA"))
    lines = metadata.splitlines()
    requirements = [line for line in lines if line.startswith("Requires-Dist:")]
    assert [line for line in requirements if "extra ==" not in line] == [
        "Requires-Dist: torch>=2.1"
    ]
    assert "Requires-Python: >=3.9" in lines


def test_sdist_has_the_sources_of_the_wheel(built):
    (sdist,) = built.glob("*.tar.gz")
    names = subprocess.run(["tar", "-tzf", sdist], capture_output=True, text=True, check=True)
    found = {name.partition("/")[2] for name in names.stdout.splitlines()}
    assert set(SOURCES) <= found
