"""Pages show the committed results, and these belong to the shipped policy."""

from pathlib import Path

import pytest

from benchmarks.origin import is_of_an_earlier_policy
from benchmarks.registry import NAMES, benchmark
from benchmarks.results import read, result_file, shown

ROOT = Path(__file__).parents[2]
SHOWN = [
    name
    for name in NAMES
    if benchmark(name).PAGE and (ROOT / result_file(benchmark(name))).exists()
]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("name", SHOWN)
def test_page_shows_the_committed_result(name):
    page = Path(benchmark(name).PAGE).read_text(encoding="utf-8")
    if hasattr(benchmark(name), "figure"):
        assert f"results/{name}.png" in page
    if hasattr(benchmark(name), "table"):
        assert shown(benchmark(name)) == page, f"stale: python -m benchmarks table {name}"


@pytest.mark.parametrize("name", SHOWN)
def test_committed_result_names_its_policy_unless_it_is_the_shipped_one(name):
    result = read(result_file(benchmark(name)))
    if is_of_an_earlier_policy(result):
        page = Path(benchmark(name).PAGE).read_text(encoding="utf-8")
        assert "an earlier policy" in page


@pytest.mark.parametrize("name", NAMES)
def test_benchmark_is_named_like_its_module(name):
    assert benchmark(name).NAME == name
    assert hasattr(benchmark(name), "table") or hasattr(benchmark(name), "figure")
