"""Reading untrusted files is limited in time and memory."""

import pytest

from checkpoints_to_source.archive import pack
from checkpoints_to_source.cli import main

NESTED = {
    "brackets": "x = " + "(" * 5000 + ")" * 5000,
    "a sum": "x = " + "+".join("1" * 100_000),
    "attributes": "x = x" + ".y" * 100_000,
}


@pytest.mark.parametrize("source", NESTED.values(), ids=NESTED)
def test_deeply_nested_code_is_a_fault_in_one_line(tmp_path, capfd, source):
    path = tmp_path / "deep.zip"
    source += "\n\n\ndef train(task):\n    pass\n"
    path.write_bytes(pack({"README.md": b"", "train.py": source.encode(), "report.pdf": b""}))
    assert main(["validate", str(path)]) == 1
    errors = capfd.readouterr().err.splitlines()
    assert any("nested" in line for line in errors)
    assert all(line.startswith("error: ") for line in errors)


@pytest.mark.parametrize(
    "path, what",
    [
        ("/dev/zero", "is no regular file"),
        ("/", "is no regular file"),
        ("none.zip", "No such file or directory"),
    ],
)
def test_non_file_is_not_read(path, what, capsys):
    assert main(["validate", path]) == 2
    assert capsys.readouterr().err == f"error: {path}: {what}; name a ZIP file\n"
