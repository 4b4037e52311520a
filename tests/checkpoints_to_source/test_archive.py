"""The ZIP is reproducible, and reading an untrusted one reports each fault."""

import io
import stat
import struct
import tracemalloc
import zipfile

import pytest
from pypdf import PdfWriter

from checkpoints_to_source import archive
from checkpoints_to_source.archive import FILES, pack, unpack
from checkpoints_to_source.validation.content import (
    SECTIONS,
    missing_sections,
    readme_faults,
    report_faults,
)

SOUND = {name: name.encode() for name in FILES}


def zipped(entries):
    """Return a ZIP of `(name or ZipInfo, content)` pairs."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in entries:
            file.writestr(name, content)
    return buffer.getvalue()


def named(content):
    return " ".join(map(str, unpack(content)[1]))


def test_equal_files_give_equal_bytes_and_round_trip():
    assert pack(SOUND) == pack(dict(SOUND))
    with zipfile.ZipFile(io.BytesIO(pack(SOUND))) as file:
        assert {entry.date_time for entry in file.infolist()} == {archive.EPOCH}
    assert unpack(pack(SOUND)) == (SOUND, [])


def test_damaged_bytes_are_faults_and_raise_nothing():
    whole = pack(SOUND)
    found = []
    for byte in range(0, len(whole), 3):
        content = whole[:byte] + bytes([whole[byte] ^ 0xFF]) + whole[byte + 1 :]
        found.append(bool(unpack(content)[1]))
    assert sum(found) > len(found) / 2  # some bytes have no effect


@pytest.mark.parametrize("missing", FILES)
def test_missing_file_is_named(missing):
    rest = {name: content for name, content in SOUND.items() if name != missing}
    assert f"{missing}: is missing" in named(pack(rest))


@pytest.mark.parametrize(
    "name, what",
    [
        ("../train.py", "outside"),
        ("/etc/train.py", "outside"),
        ("..\\train.py", "outside"),
        ("C:train.py", "outside"),
        ("team/train.py", "folder of its own"),
        ("team/", "folder of its own"),
        ("Train.py", "wrong case"),
        ("readme.md", "wrong case"),
        ("weights.pt", "does not belong"),
    ],
)
def test_wrong_name_is_a_fault_and_not_unpacked(name, what):
    content = zipped([*SOUND.items(), (name, b"x")])
    assert what in named(content)
    assert unpack(content)[0] == SOUND


def test_duplicate_file_is_named():
    with pytest.warns(UserWarning, match="Duplicate"):
        content = zipped([*SOUND.items(), ("train.py", b"other")])
    assert "there twice" in named(content)


def test_link_is_named():
    link = zipfile.ZipInfo("train.py")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    assert "no regular file" in named(zipped([(link, b"/etc/passwd")]))


def test_encrypted_file_is_named():
    content = bytearray(pack(SOUND))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(signature) + offset
        content[at : at + 2] = struct.pack("<H", 1)
    assert "is encrypted" in named(bytes(content))


def test_huge_file_is_named(monkeypatch):
    monkeypatch.setattr(archive, "LARGEST", 5)
    assert named(pack(SOUND)).count("is huge") == 3


def test_file_with_a_false_size_is_named():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("train.py", b"0" * 10_000)
    content = bytearray(buffer.getvalue())
    at = content.index(b"PK\x01\x02") + 24
    content[at : at + 4] = struct.pack("<I", 10)
    assert "train.py: is damaged" in named(bytes(content))


def test_zip_bomb_is_refused_without_using_memory():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as file:
        with file.open("train.py", "w", force_zip64=True) as entry:
            for _ in range(30):
                entry.write(bytes(2**20))
    tracemalloc.start()
    try:
        faults = named(buffer.getvalue())
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "train.py: is compressed by bzip2" in faults and most < 2**20


def test_many_entries_are_only_counted():
    content = zipped([(f"{i}.py", b"") for i in range(1000)])
    assert named(content).count("ZIP: ") == 1 and "holds 1,000 entries" in named(content)


def test_damaged_file_is_named():
    content = pack(SOUND).replace(b"train.pytrain.py", b"train.pytrain.px")
    assert "train.py: is damaged" in named(content)


@pytest.mark.parametrize("content", [b"", b"no zip", pack(SOUND)[:-30]])
def test_non_zip_is_named(content):
    assert "ZIP: is no ZIP file" in named(content)


@pytest.mark.parametrize(
    "text",
    [
        "Team: The Tigers\nMembers: Ada, Alan\n",
        "# Team name\n\nTeam: Team name\n\nMembers: Members of the team\n",
        "# Team The Tigers\n\n## Members\n\n- Ada\n- Alan\n",
        "**Team name:** Tigers\n\n**Members:**\n\n1. Ada\n",
        "# Team\n\nTigers\n\n# Team members\n\nAda\n",
        "| Team | Tigers |\n| Members | Ada |\n",
        "\ufeffTeam: Tigers\r\nMembers: Ada\r\n",
    ],
)
def test_usual_readmes_are_sound(text):
    assert readme_faults(text.encode()) == []


@pytest.mark.parametrize(
    "content, what",
    [
        (b"", ["does not name the team", "names no members"]),
        (b"Team:\n\nMembers: Ada\n", ["does not name the team"]),
        (b"# Team\n\n# Members\n\n- Ada\n", ["does not name the team"]),
        (b"Members: Ada\n", ["does not name the team"]),
        (b"Team members: Ada\n", ["does not name the team"]),
        (b"Team: Tigers\n", ["names no members"]),
        (b"Team: Tigers\nMembers:\n", ["names no members"]),
        (b"Team: \xe9\n", ["is not UTF-8 (invalid continuation byte)"]),
    ],
)
def test_each_fault_of_a_readme_is_named(content, what):
    assert [fault.what for fault in readme_faults(content)] == what


def blank(pages, password=None):
    writer, buffer = PdfWriter(), io.BytesIO()
    for _ in range(pages):
        writer.add_blank_page(200, 200)
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    writer.write(buffer)
    return buffer.getvalue()


def test_each_fault_of_a_report_is_named():
    faults = [fault.what for fault in report_faults(blank(5))]
    assert faults[0] == "has 5 pages" and len(faults) == 5
    assert "has no section Related work" in faults
    assert [fault.what for fault in report_faults(blank(4, "secret"))] == ["is encrypted"]


@pytest.mark.parametrize(
    "text",
    [
        "1 Introduction\n2 Related work\n3 Method\n4 Results\n",
        "I. I NTRODUCTION\nII. R ELATED W ORK\nIII. M ETHODS\nIV. R ESULTS\n",
        "A) Introduction\nB. Related-work\n 3.1. Method\n\n§4: Results and more\n",
        "1\nIntroduction\n2\nRelated\nWork\n3\nMethod\n4\nResults\n",
    ],
)
def test_usual_headings_are_found(text):
    assert missing_sections(text) == []


def test_other_lines_are_no_headings():
    text = "an introduction\nA related work\nOur method\nResultsof\n"
    assert missing_sections(text) == list(SECTIONS)


def test_texts_of_only_line_ends_or_numbers_are_read_fast():
    assert missing_sections("\n \n" * 200_000) == list(SECTIONS)
    assert missing_sections("1.5\n" * 20_000 + "1" * 50_000) == list(SECTIONS)
    assert len(readme_faults(b"\n" * 1_000_000)) == 2


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7\n", blank(4)[:200], b"\x00" * 1000])
def test_broken_report_is_named(content):
    assert any("PDF" in fault.what for fault in report_faults(content))
