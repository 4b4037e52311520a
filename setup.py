"""The installed module is a package of one file: only a package can say that it has type hints."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildPackage(build_py):
    """Turns learned_lr.py into learned_lr/__init__.py, beside py.typed (PEP 561)."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            module = Path(self.build_lib, "learned_lr.py")
            package = module.with_suffix("")
            package.mkdir(exist_ok=True)
            module.replace(package / "__init__.py")
            (package / "py.typed").touch()


setup(cmdclass={"build_py": BuildPackage})
