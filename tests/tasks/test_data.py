"""Loaders, windows, and the message if Fashion-MNIST is missing."""

import gzip
import http.client
import io
import pickle
import struct
import sys
import sysconfig
import urllib.request

import numpy as np
import pytest
import torch

from tasks import DataError
from tasks.data import DATA, load, load_samples
from tasks.data.cifar10 import cifar10
from tasks.data.fashion import fashion
from tasks.data.formats import Text, resize, samples
from tasks.data.procedural import clusters
from tasks.data.wikitext2 import download_wikitext2, wikitext2


def test_digits_are_standardised_and_split():
    data = load_samples("digits", (("pixels", 16), ("test", 400)), None)
    assert data.train_x.shape == (1397, 1, 16, 16) and data.test_x.shape == (400, 1, 16, 16)
    assert data.train_x.mean().abs() < 1e-4 and (data.train_x.std() - 1).abs() < 1e-4
    assert torch.bincount(data.test_y, minlength=10).min() > 20, "all classes are held out"
    with pytest.raises(DataError, match="digits has 1797 images: choose fewer than 1797"):
        load("digits", (("pixels", 8), ("test", 1797)), None)


@pytest.mark.parametrize("name", ["clusters", "teacher"])
def test_drawn_data_are_reproducible_and_follow_their_seed(name):
    first, again, other = (DATA[name](None, train=600, test=100, seed=s) for s in (1, 1, 2))
    assert torch.equal(first.train_x, again.train_x) and torch.equal(first.test_y, again.test_y)
    assert not torch.equal(first.train_x, other.train_x)
    assert first.train_x.shape == (600, 1, 8, 8) and first.test_x.shape == (100, 1, 8, 8)
    assert torch.bincount(first.train_y, minlength=10).min() > 600 / 10 / 3, "classes are balanced"


def test_rolled_clusters_are_shifted_copies_of_their_centre():
    options = {"classes": 2, "modes": 1, "noise": 0.0, "train": 40, "test": 10}
    x, y = clusters(None, rolled=True, **options)[:2]
    first, others = x[0], x[1:][y[1:] == y[0]]
    shifts = [torch.roll(first, (i, j), (1, 2)) for i in range(8) for j in range(8)]
    for image in others:
        assert min((image - shifted).abs().max() for shifted in shifts) < 1e-5
    assert not torch.allclose(others[0], first)


def test_topics_have_their_alphabets():
    for alphabet, size in (("ascii", 97), ("letters", 32)):
        text = load("topics", (("alphabet", alphabet), ("train", 5000), ("test", 1000)), None)
        assert text.classes == size
        assert len(text.train) == 5000 and len(text.test) == 1000
        assert 0 <= text.train.min() and text.train.max() < size
    with pytest.raises(DataError, match="more test tokens than context: 30 <= 32"):
        load("topics", (("test", 30),), None)


def test_windows_predict_the_next_token_and_do_not_overlap():
    windows = samples(Text(torch.arange(10), torch.arange(7), classes=10, context=3))
    assert windows.train_x.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert windows.train_y.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert windows.test_x.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_resize_averages_downwards():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert resize(image, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert resize(image, 4) is image and resize(image, 8).shape == (1, 1, 8, 8)


def write_fashion(folder, count=20):
    """Write files in the real format, with uniform grey images and labels 0 to 9 in a cycle."""
    folder.mkdir(parents=True)
    pixels = bytes(grey % 256 for grey in range(count) for _ in range(784))
    labels = bytes(i % 10 for i in range(count))
    for part in ("train", "t10k"):
        for name, header, body in (
            (f"{part}-images-idx3-ubyte", struct.pack(">iiii", 2051, count, 28, 28), pixels),
            (f"{part}-labels-idx1-ubyte", struct.pack(">ii", 2049, count), labels),
        ):
            (folder / f"{name}.gz").write_bytes(gzip.compress(header + body))


@pytest.mark.parametrize("below", [".", "FashionMNIST/raw"])
def test_fashion_reads_debian_and_torchvision_layouts(tmp_path, below):
    write_fashion(tmp_path / "f" / below)
    data = fashion(tmp_path / "f", pixels=7, train=15, test=5)
    assert data.train_x.shape == (15, 1, 7, 7) and data.test_y.tolist() == [0, 1, 2, 3, 4]
    assert (data.train_x[1:].mean((1, 2, 3)) > data.train_x[:-1].mean((1, 2, 3))).all()


@pytest.mark.parametrize("kept", [slice(-20), slice(30)], ids=["truncated", "damaged"])
def test_broken_fashion_is_an_error(tmp_path, kept):
    write_fashion(tmp_path / "f")
    path = tmp_path / "f" / "train-images-idx3-ubyte.gz"
    content = path.read_bytes()
    path.write_bytes(content[kept] + (bytes(20) + content[50:] if kept.stop > 0 else b""))
    with pytest.raises(DataError, match="cannot read Fashion-MNIST's train-images"):
        fashion(tmp_path / "f")


def test_truncated_fashion_without_compression_is_an_error(tmp_path):
    write_fashion(tmp_path / "f")
    packed = tmp_path / "f" / "train-images-idx3-ubyte.gz"
    packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes())[:-20])
    with pytest.raises(DataError, match="train-images-idx3-ubyte in .* is truncated"):
        fashion(tmp_path / "f")


def test_source_excludes_training_texts(tmp_path, monkeypatch):
    """The other files keep their order."""
    (tmp_path / "pydoc_data").mkdir()
    for name in ("a", "b", "pydoc_data/topics", "c", "d"):
        (tmp_path / f"{name}.py").write_text(name)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    files = sys.modules["tasks.data.stdlib"]._files
    whole = files()
    assert sorted(whole) == ["a", "b", "c", "d", "pydoc_data/topics"]
    assert files("pydoc_data") == [text for text in whole if len(text) == 1]
    asked = []
    monkeypatch.setattr(
        sys.modules["tasks.data.stdlib"],
        "_source",
        lambda without: asked.append(without) or "x" * 99,
    )
    DATA["source"](None, context=8, train=50, test=20)
    assert asked == ["pydoc_data"]


def write_wikitext2(root):
    folder = root / "wikitext-2"
    folder.mkdir()
    (folder / "train.txt").write_text("a b a <unk>\n\na \u2028 c\x85 b a\n", "utf-8")
    (folder / "test.txt").write_text("b zebra\n", "utf-8")


def test_wikitext2_has_an_end_token_after_each_line(tmp_path):
    write_wikitext2(tmp_path)
    text = wikitext2(tmp_path, context=2)
    # By frequency, then in order of occurrence: a, <eos>, b, <unk>, c; unseen words are <unk>.
    assert text.train.tolist() == [0, 2, 0, 3, 1, 1, 0, 4, 2, 0, 1]
    assert text.test.tolist() == [2, 3, 1] and text.classes == 5


def test_interrupted_download_is_an_error_and_leaves_no_file(tmp_path, monkeypatch):
    class Answer(io.BytesIO):
        def read(self):
            raise http.client.IncompleteRead(b"half")

    monkeypatch.setattr(urllib.request, "urlopen", lambda *arguments, **keywords: Answer())
    with pytest.raises(DataError, match="WikiText-2 did not download"):
        download_wikitext2(tmp_path)
    assert not (tmp_path / "wikitext-2").exists()


def test_wrong_download_is_discarded_and_fetched_again(tmp_path, monkeypatch):
    """A proxy may answer with its own page."""
    answers = []
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(answers.pop(0)))
    module = sys.modules["tasks.data.wikitext2"]
    monkeypatch.setattr(module, "_PARTS", {"train.txt": 4, "test.txt": 2})
    folder = tmp_path / "wikitext-2"
    for page in (b"<html>log in</html>", b"\xff\xfe\xff"):
        answers[:] = [page]
        with pytest.raises(DataError, match="train.txt is not that file of WikiText-2"):
            download_wikitext2(tmp_path)
        assert not folder.exists()
    folder.mkdir()
    (folder / "train.txt").write_text("<html>log in</html>\n")
    answers[:] = [b"a b c\n", b"d\n"]
    assert download_wikitext2(tmp_path) == folder and not answers
    assert (folder / "train.txt").read_text() == "a b c\n"
    download_wikitext2(tmp_path)  # downloads nothing more


def write_cifar10(root):
    """Write five batches of two training images, and one for tests, in CIFAR-10's format."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for i, name in enumerate(names):
        grey = np.full((2, 3072), 40 * i, dtype=np.uint8)
        grey[1] += 10
        (folder / name).write_bytes(pickle.dumps({"data": grey, "labels": [i, 9 - i]}))
    meta = {"label_names": [str(i) for i in range(10)]}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta))


def test_cifar10_is_standardised_by_its_training_part(tmp_path, monkeypatch):
    cifar = pytest.importorskip("torchvision.datasets.cifar")
    monkeypatch.setattr(cifar, "check_integrity", lambda *_: True)  # would reject made-up files
    write_cifar10(tmp_path)
    data = cifar10(tmp_path, train=9, test=1)
    assert data.train_y.tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4] and data.test_y.tolist() == [5]
    assert data.train_x.shape == (9, 3, 32, 32)
    for channel in range(3):
        own = data.train_x[:, channel]
        assert abs(own.mean()) < 1e-5 and own.std() == pytest.approx(1, abs=1e-3)
    assert (data.test_x > data.train_x.max()).all()  # the brightest, on the same scale
