"""Pages show the committed results, and these are of the shipped policy."""

from pathlib import Path

import pytest

from benchmarks.origin import is_of_the_policy_before
from benchmarks.pages import places, shown
from benchmarks.registry import NAMES, benchmark
from benchmarks.results import read
from policy.checkpoint import digest, load_policy

ROOT = Path(__file__).parents[2]
PLACES = [
    pytest.param(name, place, id=place.block)
    for name in NAMES
    for place in places(benchmark(name))
    if place.page and (ROOT / place.result).exists()
]


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize("name, place", PLACES)
def test_a_page_shows_the_committed_result(name, place):
    page = place.page.read_text(encoding="utf-8")
    if hasattr(benchmark(name), "figure"):
        assert f"results/{name}.png" in page
    if hasattr(benchmark(name), "table"):
        stale = f"stale: python -m benchmarks table {name}"
        assert shown(benchmark(name), place) == page, stale


@pytest.mark.parametrize("name, place", PLACES)
def test_a_committed_result_is_of_the_shipped_policy_or_says_of_which(name, place):
    result = read(place.result)
    measured = result.get("policy sha256")
    if is_of_the_policy_before(result):
        assert "the policy before the shipped one" in place.page.read_text(encoding="utf-8")
    elif not isinstance(measured, list):
        assert measured in (None, digest(load_policy(ROOT / "checkpoints" / "policy.safetensors")))


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_goes_by_the_name_of_its_module(name):
    assert benchmark(name).NAME == name
    assert hasattr(benchmark(name), "table") or hasattr(benchmark(name), "figure")
