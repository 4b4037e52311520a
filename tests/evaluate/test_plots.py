"""Plots show the results they are given."""

import numpy as np
import pytest
from matplotlib.image import imread

from evaluate.outcomes import Outcome
from evaluate.plots import loss_figure, profile_figure, rates_figure, write_plots

RATES = [[step, [1e-3 / (step + 1), 2e-3]] for step in range(10)]


@pytest.fixture
def results(make_result):
    diverged = {"seconds": [0.5, 1.0], "steps": [1, 2], "loss": [2.0, None]}
    nothing = {"seconds": [], "steps": [], "loss": []}
    return [
        make_result(role="baseline"),
        make_result(learning_rates=RATES),
        make_result(pair="other", role="baseline"),
        make_result(pair="other", outcome=Outcome.DIVERGED, train_curve=diverged),
        make_result(
            submission="b", submission_sha256="c" * 64, outcome=Outcome.ERROR,
            train_curve=nothing, test_curve=nothing,
        ),
    ]  # fmt: skip


def test_files_are_written(tmp_path, results):
    paths = write_plots(tmp_path, results)
    names = [
        "loss_by_seconds.png",
        "loss_by_steps.png",
        "performance_profile.png",
        "learning_rates_train.png",
    ]
    assert [path.name for path in paths] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    for path in paths:
        assert np.ptp(imread(path)) == 1.0  # black on white at the least


def test_loss_figure_has_a_panel_per_pair_with_target_and_curves(results):
    figure = loss_figure(results, {"a" * 64: "train", "c" * 64: "b"}, "seconds")
    assert [panel.get_title() for panel in figure.axes] == [
        "digits: target 0.6",
        "other: target 0.6",
    ]
    assert figure.axes[0].get_xlabel() == "time on the clock (s)"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    key = ["training loss", "target", "target reached"]
    assert labels == ["adam (baseline)", "train", "b", *key]
    drawn = [line.get_ydata() for line in figure.axes[0].lines]
    assert any(list(y) == [0.6, 0.6] for y in drawn)  # the target
    assert any(list(y) == [2.0, 0.5] for y in drawn)
    stars = [line for line in figure.axes[0].lines if line.get_marker() == "*"]
    assert len(stars) == 2 and list(stars[0].get_xdata()) == [1.0]


def test_rates_are_lines_when_few_and_a_heat_map_when_many(make_result):
    few = rates_figure([make_result(learning_rates=RATES, tensor_shapes=[[3, 4], [3]])], "train")
    (panel,) = few.axes
    assert panel.get_yscale() == "log" and len(panel.lines) == 2
    assert list(panel.lines[1].get_ydata()) == [2e-3] * 10
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["0: 3x4", "1: 3"]
    many = [[step, [1e-3 * (tensor + 1) for tensor in range(13)]] for step in range(5)]
    (panel,) = rates_figure([make_result(learning_rates=many)], "train").axes
    (colour_bar,) = panel.child_axes
    assert not panel.lines and panel.collections[0].get_array().shape == (13, 5)
    assert colour_bar.get_ylabel() == "learning rate"


def test_the_profile_steps_up_where_a_method_comes_within_the_factor():
    costs = {"a": [0.5, 2.0], "b": [1.0, np.inf]}
    (panel,) = profile_figure(costs, {"a": "ours", "b": "theirs"}, timed=True).axes
    drawn = {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in panel.lines}
    assert drawn["ours"] == [(1.0, 0.5), (2.0, 1.0), (4.0, 1.0)]
    assert drawn["theirs"] == [(1.0, 0.0), (2.0, 0.5), (4.0, 0.5)]
    assert drawn["baseline"] == [(1.0, 0.5), (2.0, 1.0), (4.0, 1.0)]
