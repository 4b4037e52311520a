"""Pairs for the eye: plot, samples and picture agree with the data and the record."""

from dataclasses import replace

import pytest
import torch

from tasks import DataError
from tasks.data import DATA
from tasks.show import blocks, excerpt, plotted, print_pair, write_picture
from tasks.suites import SUITES, targets

RECORDS = targets.read()


def test_plot_spans_the_corners_and_marks_the_target():
    lines = [line.split("│") for line in plotted([3.0, 2.0, 1.0], target=2.0)]
    assert lines[0][0].strip() == "3" and lines[0][1].startswith("•")
    assert lines[-1][0].strip() == "1" and lines[-1][1].endswith("•")
    ruled = [i for i, (label, line) in enumerate(lines) if "─" in line]
    assert len(ruled) == 1 and lines[ruled[0]][0].strip() == "2"
    assert len({len(line) for _, line in lines}) == 1


def test_plot_of_a_flat_curve():
    assert sum("•" in line for line in plotted([1.0, 1.0], target=1.0)) == 1


def test_blocks_match_pixel_darkness():
    image = torch.tensor([[[0.0, 1.0], [0.5, 0.25]]])
    assert blocks(image) == ["  ██", "▒▒░░"]
    assert blocks(torch.tensor([[[0.0, 1.0, 0.5]]])) == ["▁█▅"]
    assert blocks(image.expand(3, 2, 2)) == blocks(image)
    assert blocks(torch.zeros(1, 2, 2)) == ["    ", "    "]


def test_excerpts_are_the_text_itself():
    from pydoc_data.topics import topics

    characters = excerpt(DATA["topics"](None))
    assert len(characters) == 600
    # Up to a character outside ASCII, it stands in the corpus as it is.
    assert any(characters[:40] in "\n".join([text, ""]) for text in topics.values())
    words = excerpt(DATA["topic_words"](None)).split(" ")
    assert len(words) == 600 and {"the", "?"} <= set(words)


def test_description_names_the_pair(capsys):
    pair = SUITES["smoke"]["digits_mlp"].variant
    print_pair("digits_mlp", replace(pair, label_noise=0.2), RECORDS["digits_mlp"], None)
    shown = capsys.readouterr().out
    for part in ("mlp", "width=40", "4,650 weights", "label_noise=0.2", "█", "target 1.069"):
        assert part in shown, part


def test_pair_without_data_or_target_can_be_shown(tmp_path, capsys):
    pair = SUITES["gpu"]["resnet18_cifar10"].variant
    print_pair("resnet18_cifar10", pair, None, tmp_path)
    shown = " ".join(capsys.readouterr().out.split())
    assert "no samples: CIFAR-10 is not in" in shown and "no target yet" in shown
    with pytest.raises(DataError):
        write_picture(tmp_path / "x.png", "resnet18_cifar10", pair, None, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["digits_mlp", "topics_lstm_tiny"])
def test_picture_holds_the_curve(name, tmp_path):
    pair = SUITES["smoke"][name].variant
    write_picture(tmp_path / "x.svg", name, pair, RECORDS[name], None)
    write_picture(tmp_path / "y.svg", name, pair, None, None)
    drawn, bare = ((tmp_path / file).read_text() for file in ("x.svg", "y.svg"))
    assert "#0072b2" in drawn and "#0072b2" not in bare
