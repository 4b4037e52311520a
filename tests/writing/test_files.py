"""A file is written completely or not at all."""

import json
import math
import os
import stat

import pytest

from writing.files import json_text, write_atomically, write_json


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file"
    write_atomically(path, b"old")

    def no_space(descriptor):
        raise OSError("no space")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("path", [".", "/"])
def test_path_without_a_name_is_a_folder(path):
    with pytest.raises(IsADirectoryError):
        write_atomically(path, b"")


def test_written_files_follow_the_umask(tmp_path):
    old = os.umask(0o022)
    try:
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_unserialisable_data_writes_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "x.json", {"value": object()})
    assert list(tmp_path.iterdir()) == []


def test_numbers_that_are_not_finite_become_null():
    text = json_text({"losses": [1.5, math.nan, (math.inf,)]})
    assert json.loads(text) == {"losses": [1.5, None, [None]]} and text.endswith("\n")
