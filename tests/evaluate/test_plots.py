"""Plots show the given results."""

import numpy as np
import pytest
from matplotlib.image import imread

from evaluate.outcomes import Outcome
from evaluate.show.plots import (
    loss_figure,
    profile_figure,
    rates_figure,
    scaling_figure,
    write_plots,
)
from evaluate.show.plots.style import COLOURS, GREY

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
        assert np.ptp(imread(path)) == 1.0  # at least black on white


def test_loss_figure_has_a_panel_per_pair_with_target_and_curves(results):
    figure = loss_figure(results, "seconds")
    assert [panel.get_title() for panel in figure.axes] == [
        "digits: target 0.6",
        "other: target 0.6",
    ]
    assert figure.axes[0].get_xlabel() == "time on the clock (s)"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    key = ["training loss", "target", "target reached"]
    assert labels == ["adam (baseline)", "train", "b", *key]
    drawn = [line.get_ydata() for line in figure.axes[0].lines]
    assert any(list(y) == [0.6, 0.6] for y in drawn)  # the target line
    assert any(list(y) == [2.0, 0.5] for y in drawn)
    stars = [line for line in figure.axes[0].lines if line.get_marker() == "*"]
    assert len(stars) == 2 and list(stars[0].get_xdata()) == [1.0]


@pytest.mark.parametrize("loss", [[None, None], [None, 3.0]])
def test_method_with_few_finite_tests_can_be_drawn(make_result, loss):
    curve = {"seconds": [0.5, 1.0], "steps": [1, 2], "loss": loss}
    diverged = make_result(outcome=Outcome.DIVERGED, test_curve=curve)
    figure = loss_figure([make_result(role="baseline"), diverged], "steps")
    figure.canvas.draw()
    (thick,) = (line for line in figure.axes[0].lines if line.get_color() == COLOURS[0]
                and line.get_linewidth() == 1.8)  # fmt: skip
    assert thick.get_markevery() is None  # matplotlib would skip the only mark


def test_early_divergence_keeps_other_curves_in_view(make_result):
    curve = {"seconds": [1.0], "steps": [9], "loss": [1e12]}
    diverged = make_result(outcome=Outcome.DIVERGED, test_curve=curve)
    (panel,) = loss_figure([make_result(role="baseline"), diverged], "steps").axes
    assert panel.get_ylim()[1] < 3.0


def test_rates_are_lines_when_few_and_a_heat_map_when_many(make_result):
    few = rates_figure([make_result(learning_rates=RATES, tensor_shapes=[[3, 4], [3]])], "train")
    (panel,) = few.axes
    assert panel.get_yscale() == "log" and len(panel.lines) == 2
    assert list(panel.lines[1].get_ydata()) == [2e-3] * 10
    assert [text.get_text() for text in panel.get_legend().get_texts()] == ["0: 3x4", "1: 3"]


def test_repeat_with_other_tensors_is_left_out(make_result):
    few, many = [[1, [0.1, 0.2]], [2, [0.1, 0.2]]], [[1, [0.1] * 40], [2, [0.2] * 40]]
    runs = [
        make_result(learning_rates=many, seconds=1.0),
        make_result(learning_rates=few, seconds=2.0, repeat=1),
        make_result(learning_rates=few, seconds=3.0, repeat=2),
    ]
    (panel,) = rates_figure(runs, "train").axes
    assert len(panel.lines) == 2 * 2


def test_many_rates_are_a_heat_map_with_a_label_for_each_tensor(make_result):
    rates = [[step, [1e-3 * (tensor + 1) for tensor in range(62)]] for step in range(5)]
    shapes = [[tensor, 3] for tensor in range(62)]
    many = make_result(learning_rates=rates, tensor_shapes=shapes)
    figure = rates_figure([many], "train")
    (panel,) = figure.axes
    (colour_bar,) = panel.child_axes
    assert not panel.lines and panel.collections[0].get_array().shape == (62, 5)
    assert colour_bar.get_ylabel() == "learning rate"
    labels = panel.get_yticklabels()
    assert [label.get_text() for label in labels] == [f"{n}: {n}x3" for n in range(62)]
    figure.canvas.draw()
    boxes = [label.get_window_extent() for label in labels]
    assert all(below.y1 <= above.y0 for above, below in zip(boxes, boxes[1:], strict=False))


def test_one_odd_tensor_does_not_use_all_colours(make_result):
    rates = [[step, [1e-3, 2e-3] * 100 + [1e3]] for step in range(5)]
    (panel,) = rates_figure([make_result(learning_rates=rates)], "train").axes
    assert panel.collections[0].norm.vmax == pytest.approx(2e-3)


def test_all_repeats_are_drawn_and_the_middle_one_is_thick(make_result):
    def run(repeat, steps):
        curve = {"seconds": [1.0, 2.0], "steps": [1, steps], "loss": [2.0, 0.5]}
        rates = [[1, [1e-3, 1e-3]], [steps, [2e-3, 1e-3]]]
        return make_result(repeat=repeat, steps=steps, test_curve=curve, learning_rates=rates)

    runs = [run(0, 30), run(1, 10), run(2, 20)]
    base = [make_result(role="baseline", repeat=repeat) for repeat in range(3)]
    (panel,) = loss_figure([*base, *runs], "steps").axes
    ours = [line for line in panel.lines if line.get_color() == COLOURS[0]]
    widths = {
        line.get_xdata()[-1]: line.get_linewidth() for line in ours if line.get_alpha() != 0.45
    }
    assert set(widths) == {10, 20, 30}
    thick = [line.get_xdata()[-1] for line in ours if line.get_linewidth() == 1.8]
    assert thick == [20]
    (panel,) = rates_figure(runs, "train").axes
    drawn = [(line.get_xdata()[-1], line.get_linewidth()) for line in panel.lines]
    assert drawn == [(30, 0.6)] * 2 + [(10, 0.6)] * 2 + [(20, 1.5)] * 2


def test_methods_beyond_the_colours_are_grey_and_submissions_come_first(make_result):
    def method(name, seconds, given):
        return make_result(
            submission=name, submission_sha256=name * 64, seconds=seconds, given=given
        )

    peers = [method(f"{n:x}", 1.0 + n, {"horizon": 9}) for n in range(8)]
    figure = loss_figure([make_result(role="baseline"), *peers, method("e", 99.0, {})], "steps")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[1:8] == ["e", "0", "1", "2", "3", "4", "other peers"]
    grey = [line for line in figure.axes[0].lines if line.get_color() == GREY]
    assert len(grey) == 2 * 3  # a curve and a star each


def test_speed_up_is_drawn_against_horizon_and_size(make_result):
    def pair(name, steps, width, **fields):
        shapes = {"tensor_shapes": [[width, 10], [10]]}
        return [
            make_result(pair=name, role="baseline", steps=steps, seconds=8.0, **shapes),
            make_result(pair=name, seconds=2.0, **shapes, **fields),
            make_result(pair=name, role="baseline", steps=steps, seconds=8.0, repeat=1),
            make_result(pair=name, seconds=4.0, repeat=1, **shapes, **fields),
        ]

    missed = pair("missed", 500, 70, outcome=Outcome.TIMEOUT)
    results = [*pair("long", 1000, 9), *pair("short", 10, 99), *missed]
    horizon, size = scaling_figure(results).axes
    curve = [line for line in horizon.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in curve] == [[10, 1000]]
    assert list(curve[0].get_ydata()) == pytest.approx([8 / 3, 8 / 3])  # median cost 3/8
    crosses = [line for line in horizon.lines if line.get_marker() == "x"]
    assert list(crosses[0].get_xdata()) == [500]
    (curve,) = [line for line in size.lines if line.get_marker() == "o"]
    assert list(curve.get_xdata()) == [100, 1000]
    (bars,) = horizon.collections
    ends = [sorted(y for _, y in segment) for segment in bars.get_segments()]
    assert ends == [pytest.approx([2.0, 4.0])] * 2


def test_profile_rises_where_a_method_is_within_the_factor(results):
    costs = {"": [1.0, 1.0], "a" * 64: [0.5, 2.0], "c" * 64: [1.0, np.inf]}
    figure = profile_figure(results, costs)
    (panel,) = figure.axes
    theirs, ours, baseline = (list(zip(*line.get_data(), strict=True)) for line in panel.lines)
    assert ours == [(1.0, 0.5), (2.0, 1.0), (4.0, 1.0)]
    assert theirs == [(1.0, 0.0), (2.0, 0.5), (4.0, 0.5)]
    assert baseline == [(1.0, 0.5), (2.0, 1.0), (4.0, 1.0)]
    labels = [text.get_text() for text in panel.get_legend().get_texts()]
    assert labels == ["0.83  train", "0.83  baseline", "0.33  b"]


def test_profile_names_every_method_and_legends_stay_within_the_figure(make_result):
    costs = {f"{n:064x}": [1.0 + n / 10, 2.0] for n in range(25)}
    runs = [
        make_result(submission=f"a_rather_long_name_{n}", submission_sha256=sha256, pair=pair)
        for n, sha256 in enumerate(costs)
        for pair in ("one", "two")
    ]
    runs += [make_result(role="baseline", pair=pair) for pair in ("one", "two")]
    profile = profile_figure(runs, {"": [1.0, 1.0], **costs})
    legend = profile.axes[0].get_legend()
    assert len(legend.get_texts()) == 26
    losses = loss_figure(runs, "steps")
    for figure, one in ((profile, legend), (losses, losses.legends[0])):
        figure.draw_without_rendering()
        box = one.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y0 >= 0 and box.y1 <= figure.bbox.y1
