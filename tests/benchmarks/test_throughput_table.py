"""The page's throughput table is the result file's."""

import json
from pathlib import Path

import pytest

from benchmarks.throughput_table import markdown
from writing.markdown import insert

BEGIN, END = "<!-- throughput: begin -->", "<!-- throughput: end -->"
ROOT = Path(__file__).parents[2]
RESULT = {
    "command": ["python", "-m", "benchmarks.meta_throughput"],
    "git": {"commit": "abc", "dirty": False},
    "seed": 0,
    "hardware": {"cpu": "a CPU", "cores": 2, "gpu": None, "device": "cpu", "threads": 1},
    "versions": {"python": "3.11", "torch": "2"},
    "jax": {"version": "0.10", "device": "cpu"},
    "rows": [
        {
            "family": "mlp",
            "weights": 25058,
            "batch": 32,
            "particles": 16,
            "loop": 500.0,
            "jax": None,
            "eager": 3000.0,
            "graph": None,
            "floor": 12000.0,
            "state bytes per particle": 501_200,
        }
    ],
}


def test_table_says_what_was_measured():
    text = insert(f"a\n{BEGIN}\nold\n{END}\nb", "throughput", markdown(RESULT))
    row = "| mlp | 25,058 | 32 | 16 | 500 | - | 3,000 | - | 12,000 | 6.0x | - | 25% | 501 |"
    assert row in text and "old" not in text and "commit abc" in text
    assert "JAX 0.10. a CPU" in text
    assert text.startswith(f"a\n{BEGIN}") and text.endswith(f"{END}\nb")
    assert insert(text, "throughput", markdown(RESULT)) == text


def test_page_without_markers_is_refused():
    with pytest.raises(ValueError, match="put the lines"):
        insert("text", "throughput", "table")


def test_page_shows_the_committed_result():
    file = ROOT / "docs" / "results" / "throughput.json"
    shown = markdown(json.loads(file.read_text())) if file.exists() else "Not measured yet."
    page = (ROOT / "docs" / "metalearn.md").read_text()
    assert insert(page, "throughput", shown) == page, "stale: make throughput"
