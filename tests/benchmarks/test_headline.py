"""The README's picture shows the committed evaluation."""

from pathlib import Path

import pytest

from benchmarks.headline import SHOWN, figure, read_result, typical_pair
from evaluate.score.score import PairScore
from evaluate.score.standing import Standing

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def group():
    return read_result(ROOT / "docs" / "results" / "validation.jsonl")


def test_picture_has_a_star_for_each_method(group):
    (panel,) = figure(group).axes
    texts = [text.get_text() for text in panel.get_legend().get_texts()]
    measured = {run.submission for run in group}
    shown = [label for name, label in SHOWN.items() if name in measured]
    assert [text.split(":")[0] for text in texts] == shown
    assert {"train.py", "LearnedLR", "Adam 1e-3"} <= set(shown)
    seconds = [float(text.split(": ")[1].removesuffix(" s")) for text in texts]
    assert seconds[-1] > 3 * seconds[0]


def test_typical_pair_is_nearest_to_the_mean_as_a_ratio():
    """The mean speed-up of 2, 5 and 20 is 4."""
    costs = {"slow": 0.5, "usual": 0.2, "fast": 0.05}
    pairs = {name: PairScore({}, *[(cost,)] * 4) for name, cost in costs.items()}
    assert typical_pair(Standing("train", "0", pairs)) == "usual"
