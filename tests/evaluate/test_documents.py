"""Tables in the documents match the result files beside them."""

import re
from pathlib import Path

import pytest

from benchmarks.registry import NAMES
from evaluate.cli import main

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "docs" / "results"
DOCUMENTS = [ROOT / "docs" / "results.md"]
#: Blocks that tests/benchmarks/test_pages.py checks against their results.
OF_BENCHMARKS = set(NAMES)
BLOCK = re.compile(
    r"<!-- (?P<block>(?P<name>\S+)(?: against (?P<method>\S+))?): begin -->"
    r"(?P<text>.*?)<!-- (?P=block): end -->",
    re.DOTALL,
)


def stale_blocks(document, kept, capsys):
    """Return the names of a document's tables that differ from its result files."""
    stale = []
    for block in BLOCK.finditer(document.read_text(encoding="utf-8")):
        name, method = block["name"], block["method"]
        if name in OF_BENCHMARKS:
            continue
        against = ["--against", method] if method else []
        found = [path for path in (kept / name, kept / f"{name}.jsonl") if path.exists()]
        if not found:
            stale += [name] if block["text"].strip() else []
        elif main(["table", str(found[0]), "--document", str(document), "--check", *against]):
            stale.append(name)
    capsys.readouterr()
    return stale


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_table_is_stale(document, capsys):
    assert stale_blocks(document, KEPT, capsys) == []


def test_each_result_file_is_shown():
    texts = (document.read_text(encoding="utf-8") for document in DOCUMENTS)
    shown = {block["name"] for text in texts for block in BLOCK.finditer(text)}
    kept = [*KEPT.glob("*.jsonl"), *(path for path in KEPT.iterdir() if path.is_dir())]
    assert {path.stem for path in kept} - OF_BENCHMARKS <= shown


@pytest.mark.parametrize(
    "tamper", [lambda text: text.replace("| 2.00", "| 9.00"), lambda text: text + "more\n"]
)
def test_table_edited_by_hand_is_stale(tmp_path, make_result, capsys, tamper):
    from evaluate.score.results import pack

    results = [make_result(role="baseline", seconds=10.0, steps=20), make_result(seconds=5.0)]
    pack(results, tmp_path / "one.jsonl")
    document = tmp_path / "README.md"
    document.write_text("<!-- one: begin -->\n<!-- one: end -->\n")
    assert stale_blocks(document, tmp_path, capsys) == ["one"]
    assert main(["table", str(tmp_path / "one.jsonl"), "--document", str(document)]) == 0
    assert stale_blocks(document, tmp_path, capsys) == []
    block = BLOCK.search(document.read_text())
    document.write_text(document.read_text().replace(block["text"], tamper(block["text"])))
    assert stale_blocks(document, tmp_path, capsys) == ["one"]
    (tmp_path / "one.jsonl").unlink()
    assert stale_blocks(document, tmp_path, capsys) == ["one"]
